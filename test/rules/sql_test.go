package rules

import (
	"go/ast"
	"go/constant"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// notPortable is what one SQL text for SQLite, Postgres and CockroachDB cannot say.
var notPortable = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{regexp.MustCompile(`(?i)\bnow\(\)|\bcurrent_timestamp\b`), "the time comes from Go, one for a transaction"},
	{regexp.MustCompile(`(?i)\bfor update\b|\bskip locked\b|\bfor no key\b`), "SQLite has no row locks: use a conditional UPDATE or ON CONFLICT"},
	{regexp.MustCompile(`(?i)\bilike\b|\bsimilar to\b`), "SQLite does not know it: compare LOWER(…) LIKE"},
	{regexp.MustCompile(`(?i)\b(big|small)?serial\b|\bautoincrement\b|\bgenerated (always|by default)\b`), "ids are made in Go (package id), so that they are known before the row is"},
	{regexp.MustCompile(`(?i)\btimestamp(tz)?\b|\bdatetime\b`), "times are BIGINT Unix microseconds (db.Micro, db.Time)"},
	{regexp.MustCompile(`(?i)\bvarchar\b|\bchar\(\d`), "texts are TEXT with a CHECK where a bound is needed"},
	{regexp.MustCompile(`(?i)\bjsonb?\b\s*[,)]|->>?|\bjsonb?_\w+\(`), "JSON operators differ: keep JSON as TEXT and read it in Go"},
	{regexp.MustCompile(`::`), "SQLite does not know casts by ::, use CAST"},
	{regexp.MustCompile(`(?i)\barray\b|\bany\(`), "SQLite has no arrays: use db.In"},
	{regexp.MustCompile(`(?i)\b(real|float8?|double precision|numeric|decimal)\b`), "amounts are BIGINT micro-dollars, and counts are whole"},
}

// statement is how SQL in Go begins.
var statement = regexp.MustCompile(`^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|ALTER)\s`)

// sql visits every statement that the code of ours holds, joined from its constants.
func (h *house) sql(visit func(folder, at, text string)) {
	for _, p := range h.packages {
		for e, value := range p.info.Types {
			if value.Value == nil || value.Value.Kind() != constant.String || !isText(e) || isHelper(p.folder) {
				continue
			}
			if text := constant.StringVal(value.Value); statement.MatchString(text) && !h.file(e.Pos()).isMade() {
				visit(p.folder, h.at(e.Pos()), text)
			}
		}
	}
}

func TestSQLIsPortable(t *testing.T) {
	h := setup(t)
	seen := 0
	h.sql(func(_, at, text string) {
		seen++
		portable(t, at, text)
	})
	if seen == 0 {
		t.Error("no SQL was found: is it looked for rightly?")
	}
}

// isText says whether an expression is where a text is written, not where it is used.
func isText(e ast.Expr) bool {
	switch e.(type) {
	case *ast.BasicLit, *ast.BinaryExpr:
		return true
	}
	return false
}

func portable(t *testing.T, at, text string) {
	t.Helper()
	for _, rule := range notPortable {
		if found := rule.pattern.FindString(text); found != "" {
			t.Errorf("%s: the SQL says %q: %s", at, strings.TrimSpace(found), rule.why)
		}
	}
}

// tablePrefixes are how the tables of a folder of migrations may be called; without a
// row, as the folder or beginning with it and an underscore.
var tablePrefixes = map[string][]string{
	"balance": {"ledger_"},                                       // the field's word for it
	"bus":     {"outbox", "inbox", "dead_letters"},               // the fields' words for them
	"db":      {"leases", "idempotency", "throttles", "changes"}, // one for each package below internal/db
}

var (
	sqlComment = regexp.MustCompile(`(?m)--.*$`)
	newTable   = regexp.MustCompile(`(?i)CREATE TABLE (?:IF NOT EXISTS )?(\w+)`)
)

func TestMigrationsArePortableAndForwardOnly(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "migrations", "*", "*.sql"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.ToSlash(strings.TrimPrefix(file, root+string(filepath.Separator)))
		if !strings.HasPrefix(string(text), "-- +goose Up\n") || strings.Contains(string(text), "+goose Down") {
			t.Errorf("%s: begins with “-- +goose Up” and has no Down: a schema goes forward only, a way back that nobody runs is never right", name)
		}
		sql := sqlComment.ReplaceAllString(string(text), "")
		portable(t, name, sql)
		folder := filepath.Base(filepath.Dir(file))
		for _, table := range newTable.FindAllStringSubmatch(sql, -1) {
			if !namedAfter(folder, table[1]) {
				t.Errorf("%s: the table %s: its name begins with %s, so that everybody sees whose it is", name, table[1], folder)
			}
		}
	}
}

func namedAfter(folder, table string) bool {
	if prefixes, special := tablePrefixes[folder]; special {
		return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(table, prefix) })
	}
	return table == folder || strings.HasPrefix(table, folder+"_")
}

// sharedTables are those that no service owns.
var sharedTables = map[string]string{
	"leases": "internal/db/lease", "idempotency": "internal/db/idempotency", "audit": "internal/db/audit", "changes": "internal/db/changelog",
	"outbox": "internal/bus/outbox", "inbox": "internal/bus/outbox", "dead_letters": "internal/bus/outbox",
	"ledger": "internal/balance",
}

// lookers read tables of others, without asking.
var lookers = exceptions{
	"internal/db/backup": "a backup takes every table, and a restore sees by the leases whether somebody runs",
	"internal/doctor":    "a service may be what is ill",
}

var tableOf = regexp.MustCompile(`\b(?:FROM|INTO|UPDATE|JOIN)\s+([a-z_]+)`)

func TestATableIsTouchedByItsOwnerOnly(t *testing.T) {
	h := setup(t)
	owners := maps.Clone(sharedTables)
	for folder := range h.services {
		owners[path.Base(folder)] = folder
	}
	used := map[string]bool{}
	h.sql(func(folder, at, text string) {
		for _, table := range tableOf.FindAllStringSubmatch(text, -1) {
			owner, known := owners[table[1]]
			if prefix, _, _ := strings.Cut(table[1], "_"); !known {
				owner, known = owners[prefix]
			}
			if !known || owner == folder {
				continue
			}
			if looks := strings.HasPrefix(strings.TrimSpace(text), "SELECT"); !looks || !lookers.cover(folder, used) {
				t.Errorf("%s: the table %s is %s's: ask its contract, or the two can never be apart", at, table[1], owner)
			}
		}
	})
	lookers.stale(t, used)
}
