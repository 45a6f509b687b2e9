# The commands of every day. make (or make help) lists them.

LINT_VERSION := v2.15.0
BIN := bin
LINTER ?= $(BIN)/golangci-lint-$(LINT_VERSION)

.PHONY: help
help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Run m3o with its data in ./m3o-data
	go run ./cmd/m3o

.PHONY: build
build: ## Build the binary into ./bin
	CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o $(BIN)/m3o ./cmd/m3o

.PHONY: test
test: ## Run the tests; M3O_TEST_POSTGRES, M3O_TEST_NATS and M3O_TEST_REDIS add engines
	go test ./...

.PHONY: race
race: ## Run the tests with the race detector
	go test -race ./...

.PHONY: cover
cover: ## Report the coverage
	@mkdir -p $(BIN)
	go test -coverpkg=./internal/... -coverprofile=$(BIN)/cover.out ./... && go tool cover -func=$(BIN)/cover.out | tail -1

.PHONY: vet
vet: ## Run go vet
	go vet ./...

.PHONY: lint
lint: $(LINTER) ## Run the linters of .golangci.yml
	$(LINTER) run ./...

$(BIN)/golangci-lint-$(LINT_VERSION):
	GOBIN=$(CURDIR)/$(BIN) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv $(BIN)/golangci-lint $@

.PHONY: generate
generate: services proto fakes ## Generate everything that is generated

.PHONY: services
services: ## Generate the services' code from their service.yaml
	go run ./internal/codegen/generate

.PHONY: proto
proto: ## Generate the code of the .proto files: the events' and the shop's
	go run -C tools ./protogen -root .. 'pkg/events/proto/*/events.proto' 'pkg/shop/v1/*.proto' 'internal/shop/grpc/wire/*.proto'

.PHONY: fakes
fakes: ## Generate the fakes of the contracts
	go generate -run counterfeiter ./internal/...

# Every file of the tree with its checksum, so that verify works before a commit too.
tree = git ls-files -co --exclude-standard | sort -u | while read -r f; do [ ! -f "$$f" ] || cksum "$$f"; done

.PHONY: verify
verify: ## Generate everything anew and fail when that changes any file
	@before=$$(mktemp); after=$$(mktemp); trap 'rm -f "$$before" "$$after"' EXIT; \
	$(tree) > "$$before"; $(MAKE) --no-print-directory generate || exit 1; $(tree) > "$$after"; \
	cmp -s "$$before" "$$after" || { echo "These files were not what their sources say; they are now:"; \
	diff "$$before" "$$after" | sed -n 's/^> [0-9]* [0-9]* /  /p'; exit 1; }

.PHONY: bench
bench: ## Measure the gateway beside a bare handler and a plain proxy
	go run ./test/bench

.PHONY: faults
faults: ## Run every fault against several processes, and write docs/faults.md
	go test -count=1 -timeout 30m ./test/split -faults -report $(CURDIR)/docs/faults.md

.PHONY: image
image: ## Build the container image
	docker build --build-arg VERSION=$$(git describe --tags --always) -t m3o .

.PHONY: ci
ci: ## Run everything that a change must pass
	bash .ci/run

.PHONY: clean
clean: ## Remove what was built
	rm -rf $(BIN)
