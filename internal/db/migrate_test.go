package db_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/migrations"
)

func folder(files ...string) fs.FS {
	m := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		m[files[i]] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + files[i+1])}
	}
	return m
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		v1 := folder("tea/0001_init.sql", `CREATE TABLE tea (id TEXT PRIMARY KEY);`, "cake/0001_init.sql", `CREATE TABLE cake (id TEXT PRIMARY KEY);`)
		v2 := folder("tea/0001_init.sql", `CREATE TABLE tea (id TEXT PRIMARY KEY);`, "tea/0002_leaf.sql", `ALTER TABLE tea ADD COLUMN leaf TEXT;`)
		for range 2 {
			if err := db.Migrate(ctx, d, v1); err != nil {
				t.Fatal(err)
			}
		}
		exec(t, d, `INSERT INTO cake (id) VALUES ('x')`)
		if err := db.Migrate(ctx, d, v2); err != nil {
			t.Fatal(err)
		}
		exec(t, d, `INSERT INTO tea (id, leaf) VALUES ('x', 'green')`)
		if err := db.Migrate(ctx, d, v1); err == nil || !strings.Contains(err.Error(), "migrate tea: the database is at version 2, this program knows 1") {
			t.Fatalf("an older program: %v", err)
		}
	})
}

func TestMigrate_AFailureAppliesNothingAndMayBeMended(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		bad := folder("tea/0001_init.sql", "CREATE TABLE tea (id TEXT PRIMARY KEY);\nINSERT INTO nowhere VALUES (1);")
		if err := db.Migrate(t.Context(), d, bad); err == nil || !strings.Contains(err.Error(), "migrate tea") {
			t.Fatalf("got %v", err)
		}
		if err := db.Migrate(t.Context(), d, folder("tea/0001_init.sql", "CREATE TABLE tea (id TEXT PRIMARY KEY);")); err != nil {
			t.Fatal(err)
		}
	})
}

func TestMigrate_SeveralStartersAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var errs [4]error
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				own, err := db.Open(t.Context(), dbtest.Config(t, d))
				if err != nil {
					errs[i] = err
					return
				}
				errs[i] = errors.Join(db.Migrate(t.Context(), own, twelve()), own.Close())
			})
		}
		wg.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := d.QueryRow(t.Context(), `SELECT count(*) FROM t_a, t_l`).Scan(&n); err != nil || n != 1 {
			t.Fatalf("%d rows, %v", n, err)
		}
	})
}

// twelve folders, each of which could not be applied twice.
func twelve() fs.FS {
	m := fstest.MapFS{}
	for _, name := range strings.Fields("a b c d e f g h i j k l") {
		text := strings.ReplaceAll("-- +goose Up\nCREATE TABLE t_NAME (id TEXT PRIMARY KEY);\nINSERT INTO t_NAME VALUES ('once');", "NAME", name)
		m[name+"/0001_init.sql"] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

func TestMigrate_WaitsForTheHolderAndFollowsADeadOne(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const hold = `INSERT INTO migrations_lock (name, holder, until) VALUES ('schema', 'another', $1)`
		exec(t, d, hold, db.Micro(time.Now().Add(time.Hour)))
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if err := db.Migrate(ctx, d, migrations.FS); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("did not wait: %v", err)
		}
		exec(t, d, `UPDATE migrations_lock SET until = $1`, db.Micro(time.Now()))
		if err := db.Migrate(t.Context(), d, migrations.FS); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := d.QueryRow(t.Context(), `SELECT count(*) FROM migrations_lock`).Scan(&n); err != nil || n != 0 {
			t.Fatalf("the lock is still held: %d, %v", n, err)
		}
	})
}

// BenchmarkMigrate has twelve folders applied to a new SQLite file.
func BenchmarkMigrate(b *testing.B) {
	for b.Loop() {
		d := dbtest.SQLite(b)
		if err := db.Migrate(b.Context(), d, twelve()); err != nil {
			b.Fatal(err)
		}
	}
}
