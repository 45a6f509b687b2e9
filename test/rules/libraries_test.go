package rules

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// anywhere stands for every room.
const anywhere = "anywhere"

// libraries are the modules of others that this one requires, and the rooms whose
// code may import them; a slash at the end means what is below too. None: tests only,
// which may import any.
var libraries = map[string][]string{
	"connectrpc.com/connect":                   {"internal/shop/grpc/", "pkg/shop/", "cmd/m3o"},
	"connectrpc.com/grpcreflect":               {"internal/shop/grpc"},
	"github.com/alecthomas/kong":               {"cmd/m3o"},
	"github.com/alicebob/miniredis/v2":         nil,
	"github.com/coder/websocket":               {"internal/gateway", "internal/shop/graph"},
	"github.com/emersion/go-sasl":              nil,
	"github.com/emersion/go-smtp":              nil,
	"github.com/getkin/kin-openapi":            {"internal/publicapi"},
	"github.com/go-chi/chi/v5":                 {"internal/web"},
	"github.com/golang-jwt/jwt/v5":             {"internal/shop/users"},
	"github.com/google/go-cmp":                 nil,
	"github.com/google/uuid":                   {"internal/id"},
	"github.com/graph-gophers/graphql-go":      {"internal/shop/graph"},
	"github.com/jackc/pgx/v5":                  {"internal/db"},
	"github.com/nats-io/nats-server/v2":        nil,
	"github.com/nats-io/nats.go":               {"internal/bus/nats", "internal/doctor"},
	"github.com/nats-io/jwt/v2":                nil,
	"github.com/nats-io/nkeys":                 nil,
	"github.com/pressly/goose/v3":              {"internal/db"},
	"github.com/prometheus/client_golang":      {anywhere},
	"github.com/redis/go-redis/v9":             {"internal/limit", "internal/doctor"},
	"github.com/santhosh-tekuri/jsonschema/v6": {"internal/gateway", "internal/publicapi"},
	"github.com/wneessen/go-mail":              {"internal/emails"},
	"go.uber.org/goleak":                       nil,
	"go.yaml.in/yaml/v4":                       {"internal/config", "internal/codegen/spec", "internal/locale", "cmd/m3o"},
	"golang.org/x/crypto":                      {"internal/identity"},
	"golang.org/x/sync":                        {"internal/gateway", "internal/bus/nats"},
	"golang.org/x/text":                        {"internal/locale"},
	"google.golang.org/protobuf":               {"internal/bus/outbox", "internal/bus/nats", "internal/rpc", "internal/shop/grpc/", "pkg/events/proto/", "pkg/shop/"},
	"modernc.org/sqlite":                       {"internal/db"},
	"pgregory.net/rapid":                       nil,
}

func TestALibraryStaysInItsRooms(t *testing.T) {
	h := setup(t)
	for _, f := range h.files {
		for _, spec := range f.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			library := libraryOf(name)
			if err != nil || library == "" || f.isTest() || isHelper(f.folder()) {
				continue
			}
			if !mayHold(libraries[library], f.folder()) {
				t.Errorf("%s: %s is for %s: a library that one room wraps can be replaced in that room", h.at(spec.Pos()), library, strings.Join(libraries[library], ", "))
			}
		}
	}
}

// libraryOf is the module of the table that a package belongs to, empty for none.
func libraryOf(imported string) string {
	for library := range libraries {
		if imported == library || strings.HasPrefix(imported, library+"/") {
			return library
		}
	}
	return ""
}

func mayHold(rooms []string, folder string) bool {
	return slices.ContainsFunc(rooms, func(room string) bool {
		return room == anywhere || room == folder || strings.HasSuffix(room, "/") && strings.HasPrefix(folder+"/", room)
	})
}

func TestEveryDependencyIsExplained(t *testing.T) {
	t.Parallel()
	required := directRequirements(t)
	text, err := os.ReadFile(filepath.Join(root, "docs", "decisions", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range required {
		if _, known := libraries[name]; !known {
			t.Errorf("go.mod requires %s, which has no room: add it to libraries in test/rules/libraries_test.go", name)
		}
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/decisions/dependencies.md has no line for %s: say what it is for, what it replaces and what it drags in", name)
		}
	}
	for name := range libraries {
		if !slices.Contains(required, name) {
			t.Errorf("go.mod does not require %s any more: take its row out of libraries", name)
		}
	}
}

// directRequirements are the modules that go.mod requires for our own imports.
func directRequirements(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) == 2 && strings.HasPrefix(fields[1], "v") {
			names = append(names, fields[0])
		}
	}
	if len(names) == 0 {
		t.Fatal("go.mod requires nothing: is it read rightly?")
	}
	return names
}
