package dbtest

import (
	"os"
	"testing"

	"m3o/internal/db"
	"m3o/migrations"
)

// cockroachVariable says where a CockroachDB is, for those who have one.
const cockroachVariable = "M3O_TEST_COCKROACH"

// Cockroach is a fresh database on the CockroachDB of M3O_TEST_COCKROACH (a postgres:// URL), dropped with the test.
// Without a server the test is skipped. It has no templates, so each database is migrated.
func Cockroach(t testing.TB) *db.DB {
	t.Helper()
	server := os.Getenv(cockroachVariable)
	if server == "" {
		t.Skip(cockroachVariable + " is not set")
	}
	name := "m3o_test_" + stamp()
	if err := run(server, "CREATE DATABASE "+name); err != nil {
		t.Fatalf("make a test database: %v", err)
	}
	t.Cleanup(func() {
		if err := run(server, "DROP DATABASE "+name+" CASCADE"); err != nil {
			t.Errorf("drop the test database: %v", err)
		}
	})
	d := open(t, db.Config{URL: withName(server, name), Conns: testConns})
	if err := db.Migrate(t.Context(), d, migrations.FS); err != nil {
		t.Fatalf("migrate the test database: %v", err)
	}
	return d
}
