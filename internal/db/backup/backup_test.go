package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/migrations"
)

// A small schema with everything that a schema may have: each kind of column with and without NULL, references, a
// table that refers to a later one by name, a reserved word as a name, rows that the migrations bring.
const first = `-- +goose Up
CREATE TABLE zoo_owners (id TEXT PRIMARY KEY, balance BIGINT NOT NULL, active BOOLEAN NOT NULL, "order" TEXT);
CREATE TABLE zoo_animals (id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES zoo_owners (id), age BIGINT, tame BOOLEAN, photo BYTEA);
CREATE UNIQUE INDEX zoo_animals_owner ON zoo_animals (owner_id) WHERE tame;
CREATE TABLE zoo_version (id BIGINT PRIMARY KEY CHECK (id = 1), version BIGINT NOT NULL);
INSERT INTO zoo_version (id, version) VALUES (1, 0);
CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until BIGINT NOT NULL);`

const second = `-- +goose Up
ALTER TABLE zoo_owners ADD COLUMN email TEXT NOT NULL DEFAULT 'none';
UPDATE zoo_owners SET email = 'some' WHERE active;`

func schema(versions ...string) fs.FS {
	files := fstest.MapFS{}
	for i, text := range versions {
		files[fmt.Sprintf("zoo/%04d_x.sql", i+1)] = &fstest.MapFile{Data: []byte(text)}
	}
	return files
}

func config(fsys fs.FS) Config {
	return Config{Migrations: fsys, Version: "v1", Now: func() time.Time { return time.Now().UTC() }}
}

// engines are how to get an empty database, and how to restore into one of its kind.
var engines = map[string]engine{
	"sqlite": {
		func(t *testing.T) *db.DB {
			return opened(t, db.Config{Path: filepath.Join(t.TempDir(), "test.db")})
		},
		func(t *testing.T, file string, force bool, c Config) (*db.DB, About, error) {
			target := filepath.Join(t.TempDir(), "m3o.db")
			about, _, err := ToFile(t.Context(), file, target, force, c)
			if err != nil {
				return nil, about, err
			}
			return opened(t, db.Config{Path: target}), about, nil
		},
	},
	"postgres": {emptyPostgres, func(t *testing.T, file string, force bool, c Config) (*db.DB, About, error) {
		d := emptyPostgres(t)
		about, err := ToPostgres(t.Context(), file, d, force, c)
		return d, about, err
	}},
}

type engine struct {
	empty   func(t *testing.T) *db.DB
	restore func(t *testing.T, file string, force bool, c Config) (*db.DB, About, error)
}

func opened(t *testing.T, c db.Config) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// emptyURL is a database of Postgres without any table, and without anybody connected.
func emptyURL(t *testing.T) string {
	t.Helper()
	made := dbtest.Postgres(t)
	do(t, made, `DROP SCHEMA public CASCADE`)
	do(t, made, `CREATE SCHEMA public`)
	if err := made.Close(); err != nil {
		t.Fatal(err)
	}
	return dbtest.Config(t, made).URL
}

// emptyPostgres is such a database, open under a name of its own.
func emptyPostgres(t *testing.T) *db.DB {
	t.Helper()
	return opened(t, db.Config{URL: emptyURL(t), Name: "a restore"})
}

func do(t *testing.T, d *db.DB, query string, args ...any) {
	t.Helper()
	if _, err := d.Exec(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

// filled is a database with the first schema and rows of all kinds.
func filled(t *testing.T, e engine) *db.DB {
	t.Helper()
	d := e.empty(t)
	if err := db.Migrate(t.Context(), d, schema(first)); err != nil {
		t.Fatal(err)
	}
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	do(t, d, `INSERT INTO zoo_owners (id, balance, active, "order") VALUES ($1, $2, $3, $4)`, "o1", int64(math.MaxInt64), true, nil)
	do(t, d, `INSERT INTO zoo_owners (id, balance, active, "order") VALUES ($1, $2, $3, $4)`, "Ö'2\n\t\\", int64(math.MinInt64), false, "")
	for i, photo := range [][]byte{nil, every} {
		do(t, d, `INSERT INTO zoo_animals (id, owner_id, age, tame, photo) VALUES ($1, $2, $3, $4, $5)`, fmt.Sprint("a", i), "o1", int64(i), i == 1, photo)
	}
	empty := `X''`
	if d.Dialect() == db.Postgres {
		empty = `'\x'`
	}
	do(t, d, `INSERT INTO zoo_animals (id, owner_id, photo) VALUES ('a9', 'o1', `+empty+`)`)
	err := d.Tx(t.Context(), func(tx *db.Tx) error {
		for i := range 2500 { // more than a chunk
			if _, err := tx.Exec(t.Context(), `INSERT INTO zoo_owners (id, balance, active) VALUES ($1, $2, $3)`, fmt.Sprint("many", i), int64(i), i%2 == 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	do(t, d, `UPDATE zoo_version SET version = 7`)
	do(t, d, `INSERT INTO leases (name, holder, until) VALUES ('a', 'b', 1)`)
	return d
}

// sums are what the tables of the first schema add up to.
func sums(t *testing.T, d *db.DB) map[string]sum {
	t.Helper()
	all := map[string]sum{}
	for _, table := range []table{
		{name: "zoo_owners", columns: []string{"id", "balance", "active", "order"}, kinds: []kind{text, integer, boolean, text}},
		{name: "zoo_animals", columns: []string{"id", "owner_id", "age", "tame", "photo"}, kinds: []kind{text, text, integer, boolean, octets}},
		{name: "zoo_version", columns: []string{"id", "version"}, kinds: []kind{integer, integer}},
	} {
		var err error
		if all[table.name], err = sumOf(t.Context(), from{d}, table); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func same(t *testing.T, got, want map[string]sum) {
	t.Helper()
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: %d rows %x, want %d rows %x", name, got[name].rows, got[name].words, want[name].rows, want[name].words)
		}
	}
}

func written(t *testing.T, d *db.DB, journal Journal, c Config) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "backup")
	if _, err := Write(t.Context(), d, file, journal, c); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWhatIsRestoredIsWhatWasThere(t *testing.T) {
	t.Parallel()
	for from, source := range engines {
		for to, target := range engines {
			t.Run(from+" to "+to, func(t *testing.T) {
				t.Parallel()
				d := filled(t, source)
				journal := Journal{Served: []string{"one", "two"}, Open: []string{"three"}}
				file := written(t, d, journal, config(schema(first)))
				restored, told, err := target.restore(t, file, false, config(schema(first)))
				if err != nil {
					t.Fatal(err)
				}
				same(t, sums(t, restored), sums(t, d))
				if told.Engine != from || told.Version != "v1" || told.Tables != 3 || told.Rows != 2506 || time.Since(told.MadeAt) > time.Minute ||
					fmt.Sprint(told.Journal) != fmt.Sprint(journal) {
					t.Errorf("it is said to be %+v", told)
				}
				var leaders int
				if err := restored.QueryRow(t.Context(), `SELECT COUNT(*) FROM leases`).Scan(&leaders); err != nil || leaders != 0 {
					t.Errorf("%d leaders, %v: who led is over", leaders, err)
				}
				if to == "sqlite" {
					var texts int
					if err := restored.QueryRow(t.Context(), `SELECT COUNT(*) FROM zoo_animals WHERE typeof(photo) = 'text'`).Scan(&texts); err != nil || texts != 0 {
						t.Errorf("%d octet strings have become texts, %v", texts, err)
					}
				}
				again := written(t, restored, Journal{}, config(schema(first)))
				if _, _, err := target.restore(t, again, false, config(schema(first))); err != nil {
					t.Errorf("the backup of what was restored: %v", err)
				}
			})
		}
	}
}

// Two rows of which one gets what the other loses: a backup that saw one and not the other would not add up.
func TestABackupIsOfOneMoment(t *testing.T) {
	t.Parallel()
	for name, e := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := filled(t, e)
			do(t, d, `UPDATE zoo_owners SET balance = 0`)
			ctx, stop := context.WithCancel(t.Context())
			var writers sync.WaitGroup
			writers.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					_ = d.Tx(ctx, func(tx *db.Tx) error {
						if _, err := tx.Exec(ctx, `UPDATE zoo_owners SET balance = balance - 1 WHERE id = 'o1'`); err != nil {
							return err
						}
						_, err := tx.Exec(ctx, `UPDATE zoo_owners SET balance = balance + 1 WHERE id = $1`, fmt.Sprint("many", i%2500))
						return err
					})
				}
			})
			var files []string
			for range 3 {
				files = append(files, written(t, d, Journal{}, config(schema(first))))
			}
			stop()
			writers.Wait()
			for _, file := range files {
				restored, _, err := e.restore(t, file, false, config(schema(first)))
				if err != nil {
					t.Fatal(err)
				}
				var total, moved int64
				if err := restored.QueryRow(t.Context(), `SELECT CAST(SUM(balance) AS BIGINT), CAST(SUM(CASE WHEN balance > 0 THEN balance ELSE 0 END) AS BIGINT) FROM zoo_owners`).Scan(&total, &moved); err != nil {
					t.Fatal(err)
				}
				if total != 0 {
					t.Errorf("it adds up to %d", total)
				}
			}
		})
	}
}

func TestAFileThatWasChangedIsNotRestored(t *testing.T) {
	t.Parallel()
	d := filled(t, engines["sqlite"])
	do(t, d, `DELETE FROM zoo_owners WHERE id LIKE 'many%' AND balance > 700`)
	want := sums(t, d)
	good, err := os.ReadFile(written(t, d, Journal{Served: []string{"a call"}}, config(schema(first))))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "changed")
	refused := 0
	for range 100 {
		place := rand.IntN(len(good))
		bad := append([]byte(nil), good...)
		bad[place] ^= 1 << rand.IntN(8)
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		restored, _, err := engines["sqlite"].restore(t, file, false, config(schema(first)))
		if err != nil {
			refused++
			continue
		}
		same(t, sums(t, restored), want) // it was a byte that means nothing
		if t.Failed() {
			t.Fatalf("byte %d was changed and nobody noticed", place)
		}
	}
	if refused < 10 {
		t.Errorf("%d of 100 were refused: are the bytes that mean nothing so many?", refused)
	}
	for _, size := range []int{0, 10, 100, len(good) / 2, len(good) - 1} {
		if err := os.WriteFile(file, good[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := engines["sqlite"].restore(t, file, false, config(schema(first))); err == nil {
			t.Errorf("the first %d of %d bytes were restored", size, len(good))
		}
	}
}

// A changed row is damage to the checksum of its table, however sound the file is.
func TestARowThatWasChangedIsNoticed(t *testing.T) {
	t.Parallel()
	for _, change := range []string{
		`UPDATE zoo_owners SET balance = balance + 1 WHERE id = 'many1'`, `DELETE FROM zoo_animals WHERE id = 'a0'`, `UPDATE zoo_animals SET photo = NULL WHERE id = 'a1'`,
		`UPDATE backup_journal SET line = 'another'`, `UPDATE backup_tables SET rows = rows + 1`, `DROP INDEX zoo_animals_owner`, `UPDATE migrations_zoo SET is_applied = 0`,
		`DELETE FROM backup_about WHERE name = 'shape'`,
	} {
		file := written(t, filled(t, engines["sqlite"]), Journal{Served: []string{"a call"}}, config(schema(first)))
		d := opened(t, db.Config{Path: file})
		do(t, d, change)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := engines["sqlite"].restore(t, file, false, config(schema(first))); !errors.Is(err, errDamaged) {
			t.Errorf("after %s: %v", change, err)
		}
	}
}

func TestWhatIsNoBackupIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	wrong := filepath.Join(dir, "wrong")
	if err := os.WriteFile(wrong, []byte("PGDMP and more than sixteen bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(dir, "plain.db")
	if err := opened(t, db.Config{Path: plain}).Close(); err != nil {
		t.Fatal(err)
	}
	later := written(t, filled(t, engines["sqlite"]), Journal{}, config(schema(first)))
	d := opened(t, db.Config{Path: later})
	do(t, d, `UPDATE backup_about SET value = '2' WHERE name = 'format'`)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{wrong: "is not a backup", plain: "not a backup", filepath.Join(dir, "none"): "cannot be read", later: "use a newer m3o"} {
		for name, e := range engines {
			if _, _, err := e.restore(t, file, true, config(schema(first))); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s into %s: %v, want %q", filepath.Base(file), name, err, want)
			}
		}
	}
}

func TestAnOlderBackupIsBroughtUpToDateAndANewerOneRefused(t *testing.T) {
	t.Parallel()
	for name, e := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := filled(t, e)
			old := written(t, d, Journal{}, config(schema(first)))
			restored, _, err := e.restore(t, old, false, config(schema(first, second)))
			if err != nil {
				t.Fatal(err)
			}
			same(t, sums(t, restored), sums(t, d))
			var some int
			if err := restored.QueryRow(t.Context(), `SELECT COUNT(*) FROM zoo_owners WHERE email = 'some'`).Scan(&some); err != nil || some != 1251 {
				t.Errorf("%d rows were migrated, %v", some, err)
			}
			recent := written(t, restored, Journal{}, config(schema(first, second)))
			if _, _, err := e.restore(t, recent, false, config(schema(first))); err == nil || !strings.Contains(err.Error(), "zoo in the backup is at version 2, this program knows 1") {
				t.Errorf("a newer one: %v", err)
			}
			if _, err := Write(t.Context(), restored, filepath.Join(t.TempDir(), "x"), Journal{}, config(schema(first))); err == nil || !strings.Contains(err.Error(), "use the m3o that runs on it") {
				t.Errorf("a backup by an older program: %v", err)
			}
		})
	}
}

func TestWhatIsThereIsReplacedOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	file := written(t, filled(t, engines["sqlite"]), Journal{}, config(schema(first)))
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		d := filled(t, engines["sqlite"])
		do(t, d, `DELETE FROM zoo_animals`)
		before := sums(t, d)
		target := written(t, d, Journal{}, config(schema(first))) // any database will do
		if _, _, err := ToFile(t.Context(), file, target, false, config(schema(first))); err == nil || !strings.Contains(err.Error(), "--force") {
			t.Fatalf("over another: %v", err)
		}
		over, end := context.WithCancel(t.Context())
		end()
		if _, _, err := ToFile(over, file, target, true, config(schema(first))); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		same(t, sums(t, opened(t, db.Config{Path: target})), before)
		if err := os.WriteFile(target+"-wal", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		_, kept, err := ToFile(t.Context(), file, target, true, config(schema(first)))
		if err != nil {
			t.Fatal(err)
		}
		same(t, sums(t, opened(t, db.Config{Path: kept})), before)
		if got := sums(t, opened(t, db.Config{Path: target})); got["zoo_animals"].rows != 3 {
			t.Errorf("%d animals", got["zoo_animals"].rows)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(target), ".*draft*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		d := filled(t, engines["postgres"])
		do(t, d, `DELETE FROM zoo_animals`)
		before := sums(t, d)
		if _, err := ToPostgres(t.Context(), file, d, false, config(schema(first))); err == nil || !strings.Contains(err.Error(), "not empty, there are rows in zoo_owners") {
			t.Fatalf("over another: %v", err)
		}
		stopping, stop := context.WithCancel(t.Context())
		half := config(schema(first))
		half.Progress = func(string, int64) { stop() } // after the first table
		if _, err := ToPostgres(stopping, file, d, true, half); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		same(t, sums(t, d), before)
		if _, err := ToPostgres(t.Context(), file, d, true, config(schema(first))); err != nil {
			t.Fatal(err)
		}
		if got := sums(t, d); got["zoo_animals"].rows != 3 {
			t.Errorf("%d animals", got["zoo_animals"].rows)
		}
	})
	t.Run("postgres, one row changed", func(t *testing.T) { // what the migrations brought is not what is there
		t.Parallel()
		d := emptyPostgres(t)
		if err := db.Migrate(t.Context(), d, schema(first)); err != nil {
			t.Fatal(err)
		}
		do(t, d, `UPDATE zoo_version SET version = 1`)
		if _, err := ToPostgres(t.Context(), file, d, false, config(schema(first))); err == nil || !strings.Contains(err.Error(), "zoo_version") {
			t.Errorf("%v", err)
		}
	})
}

func TestADatabaseInUseIsNotRestoredInto(t *testing.T) {
	t.Parallel()
	file := written(t, filled(t, engines["sqlite"]), Journal{}, config(schema(first)))
	url := emptyURL(t)
	restorer, stranger := opened(t, db.Config{URL: url, Name: "a restore"}), opened(t, db.Config{URL: url})
	if err := stranger.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := ToPostgres(t.Context(), file, restorer, true, config(schema(first)))
	if err == nil || !strings.Contains(err.Error(), "in use by") {
		t.Errorf("%v", err)
	}
}

func TestABackupOverwritesNothing(t *testing.T) {
	t.Parallel()
	d := filled(t, engines["sqlite"])
	file := written(t, d, Journal{}, config(schema(first)))
	if _, err := Write(t.Context(), d, file, Journal{}, config(schema(first))); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("%v", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others can read it: %v %v", info.Mode(), err)
	}
	empty := opened(t, db.Config{Path: filepath.Join(t.TempDir(), "empty.db")})
	if _, err := Write(t.Context(), empty, filepath.Join(t.TempDir(), "x"), Journal{}, config(schema(first))); err == nil || !strings.Contains(err.Error(), "nothing to back up") {
		t.Errorf("a backup of nothing: %v", err)
	}
}

// The real schema is made of what a backup knows, and what the migrations bring does not count as content.
func TestTheHousesSchema(t *testing.T) {
	t.Parallel()
	file := written(t, dbtest.SQLite(t), Journal{}, config(migrations.FS))
	d := dbtest.Postgres(t)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	restorer := opened(t, db.Config{URL: dbtest.Config(t, d).URL, Name: "a restore"})
	about, err := ToPostgres(t.Context(), file, restorer, false, config(migrations.FS))
	if err != nil || about.Tables < 20 {
		t.Errorf("%+v %v", about, err)
	}
	written(t, restorer, Journal{}, config(migrations.FS))
}
