package db_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"m3o/internal/db"
	"m3o/internal/db/dbtest"
)

// accounts makes a table with one row of 1000.
func accounts(t testing.TB, d *db.DB) {
	t.Helper()
	exec(t, d, `CREATE TABLE accounts (id TEXT PRIMARY KEY, balance BIGINT NOT NULL CHECK (balance >= 0), note TEXT, open BOOLEAN, raw BYTEA)`)
	exec(t, d, `INSERT INTO accounts (id, balance) VALUES ('a', 1000)`)
}

func exec(t testing.TB, q db.Querier, query string, args ...any) {
	t.Helper()
	if _, err := q.Exec(context.Background(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func balance(t testing.TB, q db.Querier, id string) (n int64) {
	t.Helper()
	if err := q.QueryRow(context.Background(), `SELECT balance FROM accounts WHERE id = $1`, id).Scan(&n); err != nil {
		t.Fatalf("read balance of %s: %v", id, err)
	}
	return n
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		config db.Config
		want   string
	}{
		"RefusesNoDatabase":     {db.Config{}, "no database is given"},
		"RefusesTwoDatabases":   {db.Config{Path: "x", URL: "postgres://h/d"}, "given twice"},
		"NamesAMissingFolder":   {db.Config{Path: "/no-such-folder/x.db"}, "cannot open the database file /no-such-folder/x.db: no such file"},
		"HidesAnUnreadableURL":  {db.Config{URL: "postgres://u:hunter2@h:port/d"}, "the database URL cannot be read"},
		"NamesTheDeadPostgres":  {db.Config{URL: "postgres://u:hunter2@127.0.0.1:1/d"}, "cannot reach the database at 127.0.0.1:1: "},
		"RefusesAForeignScheme": {db.Config{URL: "mysql://u:hunter2@h/d"}, "the database URL cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := db.Open(t.Context(), tc.config)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("the password is in %q", err)
			}
		})
	}
}

func TestOpen_GivesUpOnASilentPostgres(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	start := time.Now()
	_, err = db.Open(t.Context(), db.Config{URL: "postgres://u:hunter2@" + silent.Addr().String() + "/d?sslmode=disable"})
	if err == nil || !strings.HasPrefix(err.Error(), "cannot reach the database at "+silent.Addr().String()) {
		t.Fatalf("got %v", err)
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Fatalf("took %v, want about 5 seconds", took)
	}
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	t.Run("RefusesAFileThatIsNoDatabase", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "x.db")
		if err := os.WriteFile(path, bytes.Repeat([]byte("no database "), 100), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Open(t.Context(), db.Config{Path: path}); err == nil || !strings.Contains(err.Error(), "not a database") {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("OpensAPathWithOddCharacters", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "a b?c%20#d.db")
		d, err := db.Open(t.Context(), db.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		accounts(t, d)
		if info, err := os.Stat(path); err != nil || info.Size() == 0 || info.Mode().Perm() != 0o600 {
			t.Fatalf("stat: %v, %v", info, err)
		}
	})
	t.Run("ReadersCannotWrite", func(t *testing.T) {
		t.Parallel()
		d := dbtest.SQLite(t)
		accounts(t, d)
		var id string
		err := d.QueryRow(t.Context(), `INSERT INTO accounts (id, balance) VALUES ('b', 1) RETURNING id`).Scan(&id)
		if err == nil || !strings.Contains(err.Error(), "readonly") {
			t.Fatalf("got %v, want a refusal", err)
		}
	})
	t.Run("IsOpenedAsItMustBe", func(t *testing.T) {
		t.Parallel()
		d := dbtest.SQLite(t)
		for pragma, want := range map[string]string{"synchronous": "1", "wal_autocheckpoint": "0", "journal_mode": "wal", "foreign_keys": "1", "busy_timeout": "5000"} {
			var got string
			err := d.Tx(t.Context(), func(tx *db.Tx) error { return tx.QueryRow(t.Context(), "PRAGMA "+pragma).Scan(&got) })
			if err != nil || got != want {
				t.Errorf("%s is %s, want %s (%v)", pragma, got, want, err)
			}
		}
	})
}

func TestBackup(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		accounts(t, d)
		path := filepath.Join(t.TempDir(), "it's a copy.db")
		err := d.Backup(t.Context(), path)
		if d.Dialect() == db.Postgres {
			if err == nil || !strings.Contains(err.Error(), "package backup") {
				t.Fatalf("got %v, want to be told who can", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Backup(t.Context(), path); err == nil || !strings.Contains(err.Error(), "exists") {
			t.Fatalf("over an existing file: %v", err)
		}
		copied, err := db.Open(t.Context(), db.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		defer copied.Close()
		if n := balance(t, copied, "a"); n != 1000 {
			t.Fatalf("the copy has %d", n)
		}
	})
}

// Somebody who waits for a database waits for these.
func TestWhatIsOnlyNotThereYetIsAway(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() { // takes connections and breaks them off, as what publishes a container's port does
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	open := func(url string) error {
		_, err := db.Open(t.Context(), db.Config{URL: url})
		return err
	}
	for name, c := range map[string]struct {
		err  error
		away bool
	}{
		"NobodyListens":   {open("postgres://postgres@127.0.0.1:1/x"), true},
		"NoSuchHost":      {&net.DNSError{Err: "no such host", IsNotFound: true}, true},
		"BrokenOff":       {open("postgres://postgres@" + listener.Addr().String() + "/x"), true},
		"Starting":        {&pgconn.PgError{Code: "57P03"}, true},
		"TooManyClients":  {&pgconn.PgError{Code: "53300"}, true},
		"WrongPassword":   {&pgconn.PgError{Code: "28P01"}, false},
		"NoSuchDatabase":  {&pgconn.PgError{Code: "3D000"}, false},
		"NoURL":           {open("postgres://%"), false},
		"NoDatabaseGiven": {open(""), false},
		"Nothing":         {nil, false},
	} {
		if got := db.IsAway(c.err); got != c.away {
			t.Errorf("%s: IsAway(%v) = %v", name, c.err, got)
		}
	}
}

func TestLowerKnowsAllLetters(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var folded string
		var none sql.NullString
		if err := d.QueryRow(t.Context(), `SELECT LOWER($1), LOWER(NULL)`, "ŻÓŁW Ünïcode 🐢").Scan(&folded, &none); err != nil || folded != "żółw ünïcode 🐢" || none.Valid {
			t.Errorf("%q, %v, %v", folded, none, err)
		}
	})
}

func TestIsUnique(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		accounts(t, d)
		exec(t, d, `CREATE UNIQUE INDEX accounts_note ON accounts (note) WHERE open`)
		exec(t, d, `INSERT INTO accounts (id, balance, note, open) VALUES ('b', 1, 'x', TRUE)`)
		for query, want := range map[string]bool{
			`INSERT INTO accounts (id, balance) VALUES ('a', 1)`:                         true,
			`INSERT INTO accounts (id, balance, note, open) VALUES ('c', 1, 'x', TRUE)`:  true,
			`INSERT INTO accounts (id, balance, note, open) VALUES ('d', 1, 'x', FALSE)`: false,
			`INSERT INTO accounts (id, balance) VALUES ('e', -1)`:                        false,
			`INSERT INTO accounts (id) VALUES ('f')`:                                     false,
		} {
			if _, err := d.Exec(t.Context(), query); db.IsUnique(err) != want {
				t.Errorf("IsUnique(%v) = %v after %s", err, !want, query)
			}
		}
		if db.IsUnique(nil) || db.IsUnique(errors.New("duplicate key")) {
			t.Error("IsUnique is true of what is none")
		}
	})
}

// TestSubset holds what stores may rely on in the SQL they write once for both engines.
func TestSubset(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		accounts(t, d)

		// A parameter used twice, and parameters out of order.
		exec(t, d, `UPDATE accounts SET balance = balance - $2, note = $3 WHERE id = $1 AND balance >= $2`, "a", int64(300), "n")
		if n := balance(t, d, "a"); n != 700 {
			t.Errorf("balance is %d, want 700", n)
		}
		// NULLs, booleans and bytes there and back.
		exec(t, d, `INSERT INTO accounts (id, balance, note, open, raw) VALUES ($1, $2, $3, $4, $5)`, "b", int64(1)<<60, nil, true, []byte{0, 255})
		var note sql.Null[string]
		var open, closed sql.Null[bool]
		var raw []byte
		if err := d.QueryRow(ctx, `SELECT note, open, raw FROM accounts WHERE id = $1`, "b").Scan(&note, &open, &raw); err != nil {
			t.Fatal(err)
		}
		if note.Valid || !open.V || !bytes.Equal(raw, []byte{0, 255}) || balance(t, d, "b") != 1<<60 {
			t.Errorf("read back %v %v %v", note, open, raw)
		}
		if err := d.QueryRow(ctx, `SELECT open FROM accounts WHERE id = 'a'`).Scan(&closed); err != nil || closed.Valid {
			t.Errorf("a NULL boolean is %v, %v", closed, err)
		}
		// An optional filter: the cast gives the parameter its type on Postgres.
		var n int
		const optional = `SELECT count(*) FROM accounts WHERE (CAST($1 AS TEXT) IS NULL OR note = $1)`
		if err := d.QueryRow(ctx, optional, nil).Scan(&n); err != nil || n != 2 {
			t.Errorf("no filter finds %d, %v", n, err)
		}
		if err := d.QueryRow(ctx, optional, "n").Scan(&n); err != nil || n != 1 {
			t.Errorf("the filter finds %d, %v", n, err)
		}
		// Row values page, In lists, sums of nothing are NULL.
		var ids []string
		rows, err := d.Query(ctx, `SELECT id FROM accounts WHERE (balance, id) > ($1, $2) AND id IN (`+db.In(3, 2)+`) ORDER BY balance, id`, 700, "a", "a", "b")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		if !slices.Equal(ids, []string{"b"}) || rows.Err() != nil {
			t.Errorf("paged %v, %v", ids, rows.Err())
		}
		if err := d.QueryRow(ctx, `SELECT coalesce(sum(balance), 0) FROM accounts WHERE id IN (`+db.In(1, 0)+`)`).Scan(&n); err != nil || n != 0 {
			t.Errorf("the sum of nothing is %d, %v", n, err)
		}
		if err := d.QueryRow(ctx, `SELECT balance FROM accounts WHERE id = 'none'`).Scan(&n); !errors.Is(err, db.ErrNoRows) {
			t.Errorf("got %v, want ErrNoRows", err)
		}
	})
}

func TestFill(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{0: 0, 1: 1, 2: 2, 3: 4, 5: 8, 8: 8, 9: 16} {
		values := make([]int, n, 100)
		for i := range values {
			values[i] = i
		}
		got := db.Fill(values)
		if len(got) != want || !slices.Equal(got[:n], values) || want > n && (got[want-1] != n-1 || values[:100][want-1] != 0) {
			t.Errorf("%d became %v, behind it is %v", n, got, values[:want])
		}
	}
}

func TestPostgresPrefersIndexesUnlessItIsToldOtherwise(t *testing.T) {
	t.Parallel()
	const query = `SELECT current_setting('random_page_cost')`
	var usual, told string
	if err := dbtest.Postgres(t).QueryRow(t.Context(), query).Scan(&usual); err != nil || usual != "1.1" {
		t.Errorf("a page costs %s, %v", usual, err)
	}
	address, err := url.Parse(os.Getenv("M3O_TEST_POSTGRES"))
	if err != nil {
		t.Fatal(err)
	}
	values := address.Query()
	values.Set("random_page_cost", "3")
	address.RawQuery = values.Encode()
	d, err := db.Open(t.Context(), db.Config{URL: address.String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	if err := d.QueryRow(t.Context(), query).Scan(&told); err != nil || told != "3" {
		t.Errorf("a page costs %s, %v, and was said to cost 3", told, err)
	}
}

func TestMicro(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("x", 3600))
	if got := db.Time(db.Micro(at)); !got.Equal(at.Truncate(time.Microsecond)) || got.Location() != time.UTC {
		t.Errorf("there and back: %v", got)
	}
	if db.Micro(time.Time{}) != 0 || !db.Time(0).IsZero() {
		t.Error("0 is not the zero Time")
	}
}

func TestIn(t *testing.T) {
	t.Parallel()
	if got := db.In(3, 3); got != "$3, $4, $5" {
		t.Errorf("In(3, 3) = %q", got)
	}
	if got := db.In(1, 0); got != "NULL" {
		t.Errorf("In(1, 0) = %q", got)
	}
}
