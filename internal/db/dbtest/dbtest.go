// Package dbtest gives each test a database of its own, with every migration applied, on SQLite and on Postgres.
// Only tests import it.
//
// Postgres is where M3O_TEST_POSTGRES says (a postgres:// URL of a user who may make databases). Without it the Postgres
// half is skipped and says so; with M3O_TEST_REQUIRE=1 it fails instead. For those who have a CockroachDB there is
// M3O_TEST_COCKROACH, with which Each runs on that as well.
//
// A test in a synctest bubble takes its database (SQLite) inside the bubble, where the statements it keeps belong.
package dbtest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"m3o/internal/db"
	"m3o/migrations"
)

// Each runs fn as the parallel subtests sqlite and postgres, and cockroach where there is one, so it returns before they
// have run: clean up with t.Cleanup.
func Each(t *testing.T, fn func(t *testing.T, d *db.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		fn(t, SQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		fn(t, Postgres(t))
	})
	if os.Getenv(cockroachVariable) != "" {
		t.Run("cockroach", func(t *testing.T) {
			t.Parallel()
			fn(t, Cockroach(t))
		})
	}
}

// SQLite is a fresh database in a file of the test's temporary folder, closed with the test.
func SQLite(t testing.TB) *db.DB {
	t.Helper()
	image, err := sqliteImage()
	if err != nil {
		t.Fatalf("make the SQLite template: %v", err)
	}
	path := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, db.Config{Path: path})
}

// sqliteImage is a migrated file's content, made once in a test binary: copying is far cheaper than migrating.
var sqliteImage = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "m3o-dbtest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "template.db")
	if err := migrated(db.Config{Path: path}); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// migrated makes a template. Closing it also moves SQLite's log into the file.
func migrated(c db.Config) error {
	ctx := context.Background()
	d, err := db.Open(ctx, c)
	if err != nil {
		return err
	}
	if err := db.Migrate(ctx, d, migrations.FS); err != nil {
		d.Close()
		return err
	}
	return d.Close()
}

// configs remembers how each open test database was opened.
var configs sync.Map

// Config is how to open d's database a second time, as another process would; the caller closes it before the test ends.
func Config(t testing.TB, d *db.DB) db.Config {
	t.Helper()
	c, ok := configs.Load(d)
	if !ok {
		t.Fatal("this database was not made by dbtest")
	}
	return c.(db.Config)
}

func open(t testing.TB, c db.Config) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	configs.Store(d, c)
	t.Cleanup(func() {
		configs.Delete(d)
		if err := d.Close(); err != nil {
			t.Errorf("close the database: %v", err)
		}
	})
	return d
}
