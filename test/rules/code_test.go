package rules

import (
	"go/ast"
	"go/token"
	"go/types"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// ownClock are the places that read the time themselves. Everywhere else it is
// injected as Now, so that tests set it and a transaction has one now.
var ownClock = exceptions{
	"cmd/m3o/serve.go":                       "where the system's clock is made",
	"internal/app/plan.go":                   "makes the services only to look at them, without a caller's clock",
	"internal/db/migratelock.go":             "the lock that processes take before they have a schema; it is measured against other processes only",
	"internal/bus/nats/config.go":            "who opens a bus without a clock has the system's: it tells only how long others have been silent",
	"internal/expiry/expiry.go":              "a context's deadline is on the system's clock, whatever Now says",
	"internal/bus/nats/elsewhere.go":         "a context's deadline is on the system's clock, whatever Now says",
	"internal/recall/recall.go":              "how long others are waited for is on the system's clock, whatever Now says",
	"internal/rpc/route.go":                  "a context's deadline is on the system's clock, whatever Now says",
	"internal/rpc/detach.go":                 "a context's deadline is on the system's clock, whatever Now says",
	"examples/main.go":                       "where the examples' clock is made",
	"internal/db/idempotency/idempotency.go": "calls from the bus bring no clock; a week's end may be off by what clocks differ",
}

func TestTimeIsInjected(t *testing.T) {
	h := setup(t)
	used := map[string]bool{}
	h.uses(func(f *source, at token.Pos, function string) {
		if !slices.Contains([]string{"time.Now", "time.Since", "time.Until"}, function) || isHelper(f.folder()) || ownClock.cover(f.path, used) {
			return
		}
		t.Errorf("%s: %s: take Now func() time.Time in Deps or Config, so that a test can set the time", h.at(at), function)
	})
	ownClock.stale(t, used)
}

// ownContext are the places that begin a context. Everywhere else the caller's is
// passed on, so that deadlines, cancellation and who is calling travel along.
var ownContext = exceptions{
	"cmd/m3o/main.go":                "where everything begins",
	"examples/main.go":               "where the examples begin",
	"internal/app/stack.go":          "stopping goes on after the context that ended the process",
	"internal/bus/nats/bus.go":       "a bus lives from Open to Close, and what it serves sees nothing of whoever opened it",
	"internal/bus/outbox/metrics.go": "a collector of metrics is asked without a context",
	"internal/bus/outbox/relay.go":   "a relay lives from Start to Stop, not as long as a call",
	"internal/bus/topic.go":          "a handler of an event must not end with the publisher, nor see its values",
	"internal/db/batch.go":           "a transaction that several callers share must not end with one of them",
	"internal/db/disk.go":            "a checkpoint is nobody's in particular, and belongs to no call",
	"internal/db/statements.go":      "prepared statements live as long as their pool, not as long as a call",
	"internal/rpc/detach.go":         "what travels to another service is copied; the rest stays where it is",
	"internal/gateway/recorder.go":   "calls are recorded after they have been answered",
}

func TestContextsAreTheCallers(t *testing.T) {
	h := setup(t)
	used := map[string]bool{}
	h.uses(func(f *source, at token.Pos, function string) {
		if !slices.Contains([]string{"context.Background", "context.TODO"}, function) || isHelper(f.folder()) || ownContext.cover(f.path, used) {
			return
		}
		t.Errorf("%s: %s: pass the caller's context on; work that outlives the call takes context.WithoutCancel", h.at(at), function)
	})
	ownContext.stale(t, used)
}

func TestOnlyTheOutboxPublishes(t *testing.T) {
	h := setup(t)
	publishing := regexp.MustCompile(`^\(\*?m3o/internal/bus\.\w+\)\.(Publish|Send)$`)
	h.uses(func(f *source, at token.Pos, function string) {
		if publishing.MatchString(function) && !isHelper(f.folder()) && f.folder() != "internal/bus" && f.folder() != "internal/bus/nats" && f.folder() != "internal/bus/outbox" {
			t.Errorf("%s: %s: a fact is added by outbox.Add in the transaction that makes it true; published past it, it is lost or false after a crash", h.at(at), function)
		}
	})
}

func TestOnlyTheStoreKnowsItsEngine(t *testing.T) {
	h := setup(t)
	h.uses(func(f *source, at token.Pos, function string) {
		knows := slices.Contains([]string{"internal/db", "internal/db/backup", "internal/bus/outbox", "internal/doctor"}, f.folder())
		if function == "(*m3o/internal/db.DB).Dialect" && !knows {
			t.Errorf("%s: one SQL text runs on both engines: write it in the portable subset instead of asking for the Dialect", h.at(at))
		}
	})
}

// moneyRooms are where amounts, prices and counts of what is paid are made.
var moneyRooms = []string{"internal/money", "internal/balance", "internal/billing", "internal/usage", "internal/gateway"}

func TestMoneyIsNeverAFloat(t *testing.T) {
	h := setup(t)
	for _, p := range h.packages {
		if !slices.Contains(moneyRooms, p.folder) && !slices.Contains(moneyRooms, path.Dir(p.folder)) {
			continue
		}
		for e, value := range p.info.Types {
			basic, ok := value.Type.Underlying().(*types.Basic)
			if f := h.file(e.Pos()); ok && basic.Info()&types.IsFloat != 0 && f != nil && !f.isMade() {
				t.Errorf("%s: a float: amounts are whole micro-dollars (money.Micros), and so is everything that is added up to them", h.at(e.Pos()))
			}
		}
	}
}

func TestNothingRunsBeforeMain(t *testing.T) {
	h := setup(t)
	for _, f := range h.files {
		for _, d := range f.Decls {
			if function, ok := d.(*ast.FuncDecl); ok && function.Recv == nil && function.Name.Name == "init" && !f.isMade() {
				t.Errorf("%s: init: what a program does begins in main, where it can be read, ordered and tested", h.at(d.Pos()))
			}
		}
	}
}

// fixedTypes are those whose values nobody can change, or nobody does.
var fixedTypes = []string{"error", "*regexp.Regexp", "embed.FS", "reflect.Type", "*encoding/base32.Encoding", "*strings.Replacer"}

// ownState are the package variables that are none of these, as file: name.
var ownState = exceptions{
	"cmd/m3o/main.go: release": "the linker sets it when a release is built; nothing else writes it",
}

// TestPackagesHoldNoState lets package variables be: assertions (_), error
// sentinels, compiled patterns, embedded files, and tables that the package fills
// where it declares them and never writes to.
func TestPackagesHoldNoState(t *testing.T) {
	h := setup(t)
	used := map[string]bool{}
	for _, p := range h.packages {
		written := p.written()
		for name, object := range p.info.Defs {
			variable, ok := object.(*types.Var)
			if !ok || variable.IsField() || variable.Parent() != p.types.Scope() || name.Name == "_" {
				continue
			}
			f := h.file(name.Pos())
			if f == nil || f.isMade() || isHelper(f.folder()) || slices.Contains(fixedTypes, variable.Type().String()) && !written[variable] {
				continue
			}
			if (!isTable(f, name) || written[variable]) && !ownState.cover(f.path+": "+name.Name, used) {
				t.Errorf("%s: the package variable %s: state belongs to a value that New makes, so that two systems can run in one process", h.at(name.Pos()), name.Name)
			}
		}
	}
	ownState.stale(t, used)
}

// isTable says whether a variable is declared with a literal, or embeds a text.
func isTable(f *source, name *ast.Ident) (table bool) {
	for _, d := range f.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.VAR {
			continue
		}
		for _, s := range group.Specs {
			spec := s.(*ast.ValueSpec)
			i := slices.Index(spec.Names, name)
			if i < 0 {
				continue
			}
			if len(spec.Values) > i {
				_, table = spec.Values[i].(*ast.CompositeLit)
			}
			return table || strings.Contains(directives(group.Doc), "//go:embed")
		}
	}
	return false
}

// directives is a comment as it stands, which its Text leaves the directives out of.
func directives(group *ast.CommentGroup) string {
	var all strings.Builder
	if group == nil {
		return ""
	}
	for _, c := range group.List {
		all.WriteString(c.Text + "\n")
	}
	return all.String()
}

// written are the variables of a package that some statement of it changes or takes
// the address of.
func (p *typed) written() map[types.Object]bool {
	changed := map[types.Object]bool{}
	note := func(e ast.Expr) {
		for {
			switch inner := e.(type) {
			case *ast.IndexExpr:
				e = inner.X
			case *ast.SelectorExpr:
				e = inner.X
			case *ast.StarExpr:
				e = inner.X
			case *ast.ParenExpr:
				e = inner.X
			case *ast.Ident:
				changed[p.info.Uses[inner]] = true
				return
			default:
				return
			}
		}
	}
	for _, f := range p.files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, e := range n.Lhs {
					note(e)
				}
			case *ast.IncDecStmt:
				note(n.X)
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					note(n.X)
				}
			case *ast.CallExpr:
				if name, ok := n.Fun.(*ast.Ident); ok && (name.Name == "delete" || name.Name == "clear") && len(n.Args) > 0 {
					note(n.Args[0])
				}
			}
			return true
		})
	}
	return changed
}
