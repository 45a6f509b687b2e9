package rules

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// room is a package, or with a slash at its end a folder of such, and what of ours
// its code may import. Its tests may import more.
type room struct {
	path string
	may  []string
	why  string
}

// The names that stand for several packages in a room's list.
const (
	leafs      = "leafs"      // what everybody may speak of
	contracts  = "contracts"  // every …api
	everything = "everything" // of ours
)

// leafRooms import at most each other.
var leafRooms = []string{
	"internal/fault", "internal/money", "internal/id", "internal/auth", "internal/page", "internal/frame", "internal/problem", "internal/config", "internal/ticker",
	"internal/locale", "internal/identity", "internal/carry", "internal/expiry", "internal/recall",
}

// stairs are the rooms from the bottom to the top.
var stairs = []room{
	{"internal/fault", nil, "everybody speaks of errors, so their package leans on nothing"},
	{"internal/money", nil, "an amount means the same everywhere, so it leans on nothing"},
	{"internal/carry", nil, "a context carries anything, so it knows nothing of it"},
	{"internal/expiry", nil, "any context ends, so it knows nothing of what is done in it"},
	{"internal/recall", nil, "whatever is shared is asked for alike, so it knows nothing of it"},
	{"internal/id", []string{"internal/carry"}, "ids are made everywhere, so their package leans on next to nothing"},
	{"internal/auth", []string{"internal/carry", "internal/fault"}, "who is calling is asked in every layer, so it knows none"},
	{"internal/page", []string{"internal/fault"}, "every list is paged, so it knows none"},
	{"internal/frame", []string{"internal/carry"}, "what travels with a request means the same on every transport, so it leans on none"},
	{"internal/locale", nil, "a text in the reader's language is the same everywhere, so it leans on nothing"},
	{"internal/problem", []string{"internal/fault", "internal/frame", "internal/id"}, "errors are written alike on the bus and at the edge, so it knows neither"},
	{"internal/identity", []string{"internal/fault"}, "people log in to several services by the same rules, so it knows none"},
	{"internal/config/rule", nil, "the generator and the running system judge by the same rules, and the generator leans on nothing else of ours"},
	{"internal/config", []string{"internal/config/rule"}, "every service is configured, so it knows none"},
	{"internal/ticker", nil, "it runs jobs over an interface and knows neither store nor service"},

	{"internal/codegen/spec", []string{"internal/config/rule"}, "a broken generated file must never stop the generator"},
	{"internal/codegen", []string{"internal/codegen/spec"}, "a broken generated file must never stop the generator"},
	{"internal/codegen/generate", []string{"internal/codegen"}, "a broken generated file must never stop the generator"},

	{"migrations/", nil, "the schema is text"},
	{"pkg/events/proto/", nil, "programs outside this house import it, so it brings nothing of the house along"},

	{"internal/db", nil, "the store knows nothing of what is stored"},
	{"internal/db/lease", []string{"internal/db"}, "leadership is a row, not a service"},
	{"internal/db/changelog", []string{"internal/db"}, "a change is a row, whatever it was made to"},
	{"internal/db/idempotency", []string{"internal/db", "internal/fault"}, "a stored answer is a row, whoever gave it"},
	{"internal/db/throttle", []string{"internal/db", "internal/fault"}, "an allowance is a row, whoever counts"},
	{"internal/db/gather", nil, "it gathers requests of any kind and knows none, nor how they are done"},
	{"internal/db/backup", []string{"internal/db"}, "a backup holds rows, whatever they mean"},
	{"internal/db/audit", []string{"internal/db", "internal/auth", "internal/id"}, "the trail is the same for every service"},
	{"internal/db/dbtest", []string{"internal/db", "migrations"}, "a test's database has the whole schema and nothing else"},

	{"internal/bus", []string{"internal/fault", "internal/frame", "internal/problem"}, "the transport carries anything, so it knows no contract and no store"},
	{"internal/bus/outbox", []string{"internal/bus", "internal/db", "internal/db/lease", leafs}, "it is the one place where the store and the bus meet"},
	{"internal/bus/nats", []string{"internal/bus", leafs}, "it carries anything to other processes, so it knows no contract and no store"},
	{"internal/bus/nats/natstest", []string{"internal/id"}, "it starts servers for any test, so it knows no other part"},
	{"internal/bus/bustest", []string{"internal/bus", "internal/fault", "internal/problem"}, "it holds any bus to the promises, so it knows no other part"},

	{"internal/rpc", []string{"internal/bus", "internal/db/idempotency", leafs}, "it is what generated contracts run on, so it knows none of them"},
	{"internal/rpc/rpctest", []string{"internal/bus", "internal/rpc"}, "it tests any contract, so it knows none"},
	{"internal/rpc/rpctest/asserts", []string{"internal/bus", "internal/rpc", "internal/rpc/rpctest", leafs}, "it tests any contract, so it knows none"},

	{"internal/hosting", []string{"internal/bus", leafs}, "it starts and stops any service, so it knows none"},
	{"internal/cache", []string{"internal/bus", leafs}, "the replicas of any service may share one, so it knows none"},

	{"internal/web", []string{"internal/bus", "internal/rpc", leafs}, "the edge serves whatever contracts it is handed, so it knows no service"},
	{"internal/upstream", []string{leafs}, "it speaks HTTP to strangers and knows nothing of what is sold"},
	{"internal/limit", []string{leafs}, "a limit counts calls and knows neither customers nor what is sold"},
	{"internal/gateway", []string{"internal/bus", "internal/limit", "internal/rpc", "internal/upstream", contracts, leafs}, "the gateway has no store of its own and reaches services by their contracts only, so it may run elsewhere"},

	{"pkg/shop/", []string{"pkg/shop/"}, "programs outside this house import it, so it brings nothing of the house along"},
	{"internal/shop/grpc", []string{"internal/shop/grpc/", "pkg/shop/", contracts, leafs}, "it says over gRPC what the shop's contracts say, and has no rules of its own"},
	{"internal/shop/grpc/wire/", []string{"internal/shop/grpc/wire"}, "messages and their code, which lean on nothing of ours"},

	{"internal/app", []string{everything}, "app is the one place that knows every service"},
	{"internal/app/apptest", []string{"internal/app", "internal/bus", leafs}, "it starts the whole through app and reaches it from outside; several wholes may share one bus"},
	{"internal/doctor", []string{"internal/db", "internal/gateway", "internal/config", "internal/id"}, "it examines what a system stands on, so it asks no service"},
	{"cmd/m3o", []string{"internal/app", "internal/codegen", "internal/doctor", "migrations", "pkg/shop/"}, "main is flags and sentences"},
	{"test/", []string{everything}, "tests of the whole may look at all of it"},
	{"examples", []string{everything}, "the program that starts the examples knows each of them"},
}

// The rooms of which there are many.
var (
	contractRoom = room{"a contract (…api)", []string{"internal/bus", "internal/rpc", contracts, leafs}, "whoever calls a service imports its contract, so that must not bring a service along"}
	fakeRoom     = room{"a fake (…apifakes)", []string{contracts}, "a fake stands in for its contract and nothing else"}
	mockRoom     = room{"a mock (…mock)", []string{"internal/bus", "internal/rpc", contracts, leafs}, "a mock stands in for its contract and nothing else"}
	resourceRoom = room{"resources", nil, "they are files"}
	serviceRoom  = room{"a service", []string{
		"internal/bus", "internal/bus/outbox", "internal/cache", "internal/rpc", "internal/db", "internal/db/audit", "internal/db/changelog", "internal/db/gather", "internal/db/idempotency", "internal/db/lease", "internal/db/throttle",
		contracts, "pkg/events/proto/", leafs,
	}, "a service reaches another by its …api only, so that either can move to another process"}
)

// roomOf is the room of a folder, nil when the house has none for it.
func (h *house) roomOf(folder string) *room {
	for i := range stairs {
		if stairs[i].path == folder {
			return &stairs[i]
		}
	}
	switch {
	case h.isContract(folder):
		return &contractRoom
	case h.isContract(path.Dir(folder)) && path.Base(folder) == path.Base(path.Dir(folder))+"fakes":
		return &fakeRoom
	case h.isContract(path.Dir(folder)) && path.Base(folder) == path.Base(path.Dir(path.Dir(folder)))+"mock":
		return &mockRoom
	case h.services[path.Dir(folder)] && path.Base(folder) == "resources":
		return &resourceRoom
	case h.services[folder]:
		return &serviceRoom
	}
	for i, r := range stairs {
		if strings.HasSuffix(r.path, "/") && strings.HasPrefix(folder+"/", r.path) {
			return &stairs[i]
		}
	}
	return nil
}

// isContract says whether a folder is the …api of a service.
func (h *house) isContract(folder string) bool {
	service := path.Dir(folder)
	return h.services[service] && path.Base(folder) == path.Base(service)+"api"
}

// allows says whether the code of a room may import a package of ours.
func (h *house) allows(r *room, imported string) bool {
	for _, may := range r.may {
		switch {
		case may == everything, may == imported:
			return true
		case may == leafs && slices.Contains(leafRooms, imported):
			return true
		case may == contracts && h.isContract(imported):
			return true
		case strings.HasSuffix(may, "/") && strings.HasPrefix(imported, may):
			return true
		}
	}
	return false
}

// ourImports visits each import of a package of ours, in every file.
func (h *house) ourImports(visit func(f *source, at, imported string)) {
	for _, f := range h.files {
		for _, spec := range f.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if imported, ours := strings.CutPrefix(name, module); err == nil && ours {
				visit(f, h.at(spec.Pos()), imported)
			}
		}
	}
}

func TestImportsGoDownTheStairsOnly(t *testing.T) {
	h := setup(t)
	h.ourImports(func(f *source, at, imported string) {
		if r := h.roomOf(f.folder()); r != nil && !f.isTest() && !h.allows(r, imported) && imported != f.folder()+"/resources" {
			t.Errorf("%s: %s must not import %s: %s", at, f.folder(), imported, r.why)
		}
	})
}

func TestEveryPackageHasItsRoom(t *testing.T) {
	h := setup(t)
	for folder := range h.packages {
		if h.roomOf(folder) == nil {
			t.Errorf("%s stands nowhere in the stairs: give it a row in test/rules/stairs_test.go that says what it may import, and why", folder)
		}
	}
	for _, r := range stairs {
		standing := h.packages[r.path] != nil
		for folder := range h.packages {
			standing = standing || strings.HasSuffix(r.path, "/") && strings.HasPrefix(folder+"/", r.path)
		}
		if !standing {
			t.Errorf("the room %s is empty: take its row out of the stairs", r.path)
		}
	}
}

func TestOnlyTestsImportTestHelpers(t *testing.T) {
	h := setup(t)
	h.ourImports(func(f *source, at, imported string) {
		if isHelper(imported) && !f.isTest() && !isHelper(f.folder()) {
			t.Errorf("%s: %s is help for tests: what it does to make a test easy must not reach an operator", at, imported)
		}
	})
}

func TestAServiceHasTheUsualFiles(t *testing.T) {
	h := setup(t)
	for folder := range h.services {
		noun := path.Base(folder)
		for _, file := range []string{"doc.go", noun + ".go", "service_gen.go"} {
			if h.byPath[path.Join(folder, file)] == nil {
				t.Errorf("%s has no %s: whoever knows one service should find their way in every other", folder, file)
			}
		}
	}
}
