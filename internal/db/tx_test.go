package db_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	_ "modernc.org/sqlite"

	"m3o/internal/db"
	"m3o/internal/db/dbtest"
)

var errTest = errors.New("the caller's error")

// both runs a story with Tx and with Batch, which have one contract, on each engine.
func both(t *testing.T, story func(t *testing.T, d *db.DB, tx txFunc)) {
	t.Run("Tx", func(t *testing.T) {
		t.Parallel()
		dbtest.Each(t, func(t *testing.T, d *db.DB) { accounts(t, d); story(t, d, d.Tx) })
	})
	t.Run("Batch", func(t *testing.T) {
		t.Parallel()
		dbtest.Each(t, func(t *testing.T, d *db.DB) { accounts(t, d); story(t, d, d.Batch) })
	})
}

type txFunc func(ctx context.Context, fn func(tx *db.Tx) error) error

func debit(ctx context.Context, tx *db.Tx, amount int64) error {
	_, err := tx.Exec(ctx, `UPDATE accounts SET balance = balance - $1 WHERE id = 'a'`, amount)
	return err
}

func TestTx_Commits(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, d *db.DB, tx txFunc) {
		var order []string
		err := tx(t.Context(), func(tx *db.Tx) error {
			tx.AfterCommit(func() { order = append(order, "first") })
			tx.AfterCommit(func() { order = append(order, "second") })
			if err := debit(t.Context(), tx, 100); err != nil {
				return err
			}
			if n := balance(t, tx, "a"); n != 900 {
				t.Errorf("the transaction does not see its own change: %d", n)
			}
			order = append(order, "fn")
			return nil
		})
		if err != nil || balance(t, d, "a") != 900 {
			t.Fatalf("balance %d, %v", balance(t, d, "a"), err)
		}
		if got := strings.Join(order, " "); got != "fn first second" {
			t.Errorf("hooks ran as %q", got)
		}
	})
}

func TestTx_UndoesOnError(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, d *db.DB, tx txFunc) {
		hooked := false
		err := tx(t.Context(), func(tx *db.Tx) error {
			tx.AfterCommit(func() { hooked = true })
			if err := debit(t.Context(), tx, 100); err != nil {
				return err
			}
			return errTest
		})
		if err != errTest || balance(t, d, "a") != 1000 || hooked {
			t.Fatalf("got %v, balance %d, hook ran: %v", err, balance(t, d, "a"), hooked)
		}
	})
}

func TestTx_UndoesOnPanic(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, d *db.DB, tx txFunc) {
		func() {
			defer func() {
				if recover() != errTest {
					t.Error("the panic did not come through")
				}
			}()
			_ = tx(t.Context(), func(tx *db.Tx) error {
				if err := debit(t.Context(), tx, 100); err != nil {
					return err
				}
				panic(errTest)
			})
		}()
		if err := tx(t.Context(), func(tx *db.Tx) error { return debit(t.Context(), tx, 1) }); err != nil {
			t.Fatalf("after the panic: %v", err)
		}
		if n := balance(t, d, "a"); n != 999 {
			t.Errorf("balance %d, want 999", n)
		}
	})
}

func TestTx_FailsWhenAStatementsErrorIsHidden(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, d *db.DB, tx txFunc) {
		err := tx(t.Context(), func(tx *db.Tx) error {
			if err := debit(t.Context(), tx, 100); err != nil {
				return err
			}
			if _, err := tx.Exec(t.Context(), `INSERT INTO accounts (id, balance) VALUES ('a', 1)`); !db.IsUnique(err) {
				t.Errorf("insert: %v", err)
			}
			var n int
			if err := tx.QueryRow(t.Context(), `SELECT 1`).Scan(&n); err == nil {
				t.Error("the transaction went on")
			}
			return nil
		})
		if !db.IsUnique(err) || balance(t, d, "a") != 1000 {
			t.Fatalf("got %v, balance %d", err, balance(t, d, "a"))
		}
	})
}

// several debits an account, then notes it, then debits nobody.
func several(note string) []db.Statement {
	return []db.Statement{
		{Query: `UPDATE accounts SET balance = balance - $1 WHERE id = $2`, Args: []any{int64(100), "a"}},
		{Query: `INSERT INTO accounts (id, balance, note, open, raw) SELECT id || $1, balance, $2, $3, $4 FROM accounts WHERE id = 'a'`, Args: []any{"x", note, true, []byte{0, 255}}},
		{Query: `UPDATE accounts SET balance = balance - $1 WHERE id = $2`, Args: []any{int64(100), "nobody"}},
	}
}

func TestTx_ExecAllRunsInOrder(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, d *db.DB, tx txFunc) {
		var met []int64
		err := tx(t.Context(), func(tx *db.Tx) (err error) {
			if err := debit(t.Context(), tx, 1); err != nil {
				return err
			}
			met, err = tx.ExecAll(t.Context(), several("n"))
			return err
		})
		if err != nil || !slices.Equal(met, []int64{1, 1, 0}) || balance(t, d, "a") != 899 || balance(t, d, "ax") != 899 {
			t.Errorf("met %v, %v; balances %d and %d", met, err, balance(t, d, "a"), balance(t, d, "ax"))
		}
	})
}

// Of several statements one that fails undoes those before it, and nothing follows, whether its error is hidden or not.
func TestTx_ExecAllFailsAsAWhole(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, d *db.DB, tx txFunc) {
		twice := append(several("n"), several("n")[1], several("n")[0])
		err := tx(t.Context(), func(tx *db.Tx) error {
			if met, err := tx.ExecAll(t.Context(), twice); !db.IsUnique(err) || met != nil {
				t.Errorf("met %v, %v", met, err)
			}
			if _, err := tx.ExecAll(t.Context(), several("n")); err == nil {
				t.Error("the transaction went on")
			}
			return nil
		})
		if !db.IsUnique(err) || balance(t, d, "a") != 1000 {
			t.Errorf("got %v, balance %d", err, balance(t, d, "a"))
		}
		if err := tx(t.Context(), func(tx *db.Tx) error { return debit(t.Context(), tx, 1) }); err != nil || balance(t, d, "a") != 999 {
			t.Errorf("afterwards: %v, balance %d", err, balance(t, d, "a"))
		}
	})
}

// What comes after the end of the transaction's context is not run outside of it.
func TestTx_ExecAllKeepsToItsTransaction(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		accounts(t, d)
		ctx, cancel := context.WithCancel(t.Context())
		err := d.Tx(ctx, func(tx *db.Tx) (err error) {
			cancel()
			for err == nil {
				_, err = tx.ExecAll(t.Context(), several("n")[:1])
			}
			return err
		})
		if err == nil || balance(t, d, "a") != 1000 {
			t.Errorf("got %v, balance %d", err, balance(t, d, "a"))
		}
		if d.Dialect() != db.Postgres {
			return
		}
		if met, err := d.ExecBatch(t.Context(), several("n")); !errors.Is(err, sql.ErrTxDone) || balance(t, d, "a") != 1000 {
			t.Errorf("without a transaction: met %v, %v, balance %d", met, err, balance(t, d, "a"))
		}
	})
}

func TestTx_FindsNothingAndGoesOn(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, d *db.DB, tx txFunc) {
		err := tx(t.Context(), func(tx *db.Tx) error {
			var n int
			if err := tx.QueryRow(t.Context(), `SELECT balance FROM accounts WHERE id = 'none'`).Scan(&n); !errors.Is(err, db.ErrNoRows) {
				t.Errorf("got %v, want ErrNoRows", err)
			}
			return debit(t.Context(), tx, 1)
		})
		if err != nil || balance(t, d, "a") != 999 {
			t.Fatalf("got %v", err)
		}
	})
}

func TestTx_RunsAgain(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]error{
		"AfterASerializationFailure": &pgconn.PgError{Code: "40001"},
		"AfterADeadlock":             &pgconn.PgError{Code: "40P01"},
		"AfterSQLiteBusy":            sqliteBusy(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, d *db.DB, tx txFunc) {
				runs, hooks := 0, 0
				err := tx(t.Context(), func(tx *db.Tx) error {
					runs++
					tx.AfterCommit(func() { hooks++ })
					if err := debit(t.Context(), tx, 100); err != nil {
						return err
					}
					if runs < 3 {
						return again
					}
					return nil
				})
				if err != nil || runs != 3 || hooks != 1 || balance(t, d, "a") != 900 {
					t.Fatalf("%v after %d runs, %d hooks, balance %d", err, runs, hooks, balance(t, d, "a"))
				}
			})
		})
	}
}

func TestTx_StopsRunningAgain(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, d *db.DB, tx txFunc) {
		deadlock := &pgconn.PgError{Code: "40P01"}
		runs := 0
		err := tx(t.Context(), func(tx *db.Tx) error { runs++; return deadlock })
		if !errors.Is(err, deadlock) || runs < 3 || runs > 20 {
			t.Fatalf("%v after %d runs", err, runs)
		}
		ctx, cancel := context.WithCancel(t.Context())
		runs = 0
		err = tx(ctx, func(tx *db.Tx) error { runs++; cancel(); return deadlock })
		if !errors.Is(err, context.Canceled) || runs != 1 {
			t.Fatalf("cancelled: %v after %d runs", err, runs)
		}
	})
}

func TestTx_RunsAgainWhenTheReasonIsHidden(t *testing.T) {
	t.Parallel()
	d := dbtest.Postgres(t)
	for name, tx := range map[string]txFunc{"Tx": d.Tx, "Batch": d.Batch} {
		runs := 0
		err := tx(t.Context(), func(tx *db.Tx) error {
			if runs++; runs > 1 {
				return nil
			}
			_, _ = tx.Exec(t.Context(), `DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '40001'; END $$`)
			return errTest
		})
		if err != nil || runs != 2 {
			t.Errorf("%s: %v after %d runs", name, err, runs)
		}
	}
}

// sqliteBusy is the error of a writer who meets another one.
func sqliteBusy(t *testing.T) error {
	t.Helper()
	dsn := "file:" + filepath.Join(t.TempDir(), "busy.db") + "?_txlock=immediate"
	pool, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	first, err := pool.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Rollback()
	_, err = pool.Begin()
	if err == nil {
		t.Fatal("two writers at once")
	}
	return err
}

func TestTx_SettlesADeadlock(t *testing.T) {
	t.Parallel()
	d := dbtest.Postgres(t)
	accounts(t, d)
	exec(t, d, `INSERT INTO accounts (id, balance) VALUES ('b', 1000)`)
	met := make(chan struct{}, 2) // filled by each one's first run, so that both hold their first row
	move := func(from, to string) error {
		run := 0
		return d.Tx(t.Context(), func(tx *db.Tx) error {
			run++
			if _, err := tx.Exec(t.Context(), `UPDATE accounts SET balance = balance - 1 WHERE id = $1`, from); err != nil {
				return err
			}
			if run == 1 {
				met <- struct{}{}
				for len(met) < 2 && t.Context().Err() == nil {
					var n int
					if err := tx.QueryRow(t.Context(), `SELECT 1`).Scan(&n); err != nil {
						return err
					}
				}
			}
			_, err := tx.Exec(t.Context(), `UPDATE accounts SET balance = balance + 1 WHERE id = $1`, to)
			return err
		})
	}
	errs := make(chan error, 2)
	go func() { errs <- move("a", "b") }()
	go func() { errs <- move("b", "a") }()
	if err := errors.Join(<-errs, <-errs); err != nil {
		t.Fatal(err)
	}
	if a, b := balance(t, d, "a"), balance(t, d, "b"); a != 1000 || b != 1000 {
		t.Fatalf("balances %d and %d", a, b)
	}
}
