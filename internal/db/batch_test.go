package db_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"m3o/internal/db"
	"m3o/internal/db/dbtest"
)

// meeting makes callers meet: while it is open, whoever calls Batch queues.
type meeting struct {
	t    *testing.T
	d    *db.DB
	open chan struct{}
	wg   sync.WaitGroup
	n    int
}

func meet(t *testing.T, d *db.DB) *meeting {
	m := &meeting{t: t, d: d, open: make(chan struct{})}
	begun := make(chan struct{})
	m.wg.Go(func() {
		err := d.Batch(t.Context(), func(*db.Tx) error {
			close(begun)
			<-m.open
			return nil
		})
		if err != nil {
			t.Errorf("who came first: %v", err)
		}
	})
	<-begun
	return m
}

// join has fn called in a goroutine, and returns when its Batch waits in the queue: the order of joins is the order
// in the group.
func (m *meeting) join(fn func()) {
	m.t.Helper()
	m.n++
	m.wg.Go(fn)
	m.await(m.n)
}

func (m *meeting) await(queued int) {
	m.t.Helper()
	for end := time.Now().Add(10 * time.Second); m.d.Queued() < queued; runtime.Gosched() {
		if time.Now().After(end) {
			m.t.Fatal("nobody queued")
		}
	}
}

// start lets the group run and waits for everybody.
func (m *meeting) start() {
	close(m.open)
	m.wg.Wait()
}

// put adds a row and says how many there were, the uncommitted ones of the same transaction among them.
func put(ctx context.Context, tx *db.Tx, id string) (before int, err error) {
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM accounts`).Scan(&before); err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO accounts (id, balance) VALUES ($1, 0)`, id)
	return before, err
}

func count(t *testing.T, d *db.DB) (n int) {
	t.Helper()
	if err := d.QueryRow(context.Background(), `SELECT count(*) FROM accounts`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestBatch_SharesOneCommit(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		accounts(t, d)
		m := meet(t, d)
		for i := range 5 {
			m.join(func() {
				err := d.Batch(t.Context(), func(tx *db.Tx) error {
					before, err := put(t.Context(), tx, fmt.Sprint(i))
					if before != i+1 {
						t.Errorf("member %d sees %d rows", i, before)
					}
					if seen := count(t, d); seen != 1 { // from outside: nothing before the one commit
						t.Errorf("%d rows were committed before member %d ran", seen, i)
					}
					return err
				})
				if err != nil || count(t, d) != 6 {
					t.Errorf("member %d: %v, %d rows at its return", i, err, count(t, d))
				}
			})
		}
		m.start()
	})
}

func TestBatch_AFailingMemberUndoesOnlyItself(t *testing.T) {
	t.Parallel()
	fails := map[string]func(tx *db.Tx) error{
		"AnError": func(*db.Tx) error { return errTest },
		"AFailedQuery": func(tx *db.Tx) error {
			_, err := tx.Exec(context.Background(), `SELECT nothing FROM nowhere`)
			return err
		},
		"AHiddenFailure":  func(tx *db.Tx) error { _, _ = put(context.Background(), tx, "a"); return nil },
		"APanic":          func(*db.Tx) error { panic(errTest) },
		"AnEndedRoutine":  func(*db.Tx) error { runtime.Goexit(); return nil },
		"ACancelledQuery": cancelled,
	}
	for name, fail := range fails {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				accounts(t, d)
				var hooks, failed atomic.Int32
				m := meet(t, d)
				for i := range 6 {
					m.join(func() {
						err := errTest // what stays when Batch does not return
						defer func() {
							recover()
							if err != nil {
								failed.Add(1)
							}
						}()
						err = d.Batch(t.Context(), func(tx *db.Tx) error {
							tx.AfterCommit(func() { hooks.Add(1) })
							if _, err := put(t.Context(), tx, fmt.Sprint(i)); err != nil {
								return err
							}
							if i%2 == 1 { // the last one too
								return fail(tx)
							}
							return nil
						})
					})
				}
				m.start()
				if n := count(t, d); n != 1+3 || hooks.Load() != 3 || failed.Load() != 3 {
					t.Errorf("%d rows, %d hooks, %d failed; want 4, 3, 3", n, hooks.Load(), failed.Load())
				}
			})
		})
	}
}

// cancelled runs a statement under a context that has ended.
func cancelled(tx *db.Tx) error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := tx.Exec(ctx, `INSERT INTO accounts (id, balance) VALUES ('late', 0)`)
	return err
}

func TestBatch_AnEndedContextLeavesTheQueueAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		accounts(t, d)
		m := meet(t, d)
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		ran := atomic.Bool{}
		m.join(func() {
			left <- d.Batch(ctx, func(*db.Tx) error { ran.Store(true); return nil })
		})
		for i := range 2 {
			m.join(func() {
				if err := d.Batch(t.Context(), func(tx *db.Tx) error { _, err := put(t.Context(), tx, fmt.Sprint(i)); return err }); err != nil {
					t.Error(err)
				}
			})
		}
		cancel()
		if err := <-left; err != context.Canceled { // while the first one still holds the door
			t.Errorf("got %v", err)
		}
		m.start()
		if ran.Load() || count(t, d) != 3 {
			t.Errorf("ran: %v, rows: %d", ran.Load(), count(t, d))
		}
	})
}

func TestBatch_ACallersEndInItsTurnIsNotTheOthers(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		accounts(t, d)
		m := meet(t, d)
		ctx, cancel := context.WithCancel(t.Context())
		join := func(id string, ctx context.Context, fn func(), want error) {
			m.join(func() {
				err := d.Batch(ctx, func(tx *db.Tx) error {
					fn()
					_, err := put(ctx, tx, id)
					return err
				})
				if !errors.Is(err, want) {
					t.Errorf("%s: got %v, want %v", id, err, want)
				}
			})
		}
		join("x", t.Context(), func() {}, nil)
		join("y", ctx, cancel, context.Canceled)
		join("z", t.Context(), func() {}, nil)
		m.start()
		if n := count(t, d); n != 3 {
			t.Errorf("%d rows, want 3", n)
		}
	})
}

func TestBatch_RunsAllAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		accounts(t, d)
		m := meet(t, d)
		var runs [4]int
		var hooks atomic.Int32
		for i := range runs {
			m.join(func() {
				err := d.Batch(t.Context(), func(tx *db.Tx) error {
					runs[i]++
					tx.AfterCommit(func() { hooks.Add(1) })
					if _, err := put(t.Context(), tx, fmt.Sprint(i)); err != nil {
						return err
					}
					switch {
					case i == 2 && runs[i] < 3:
						return &pgconn.PgError{Code: "40001"}
					case i == 1:
						return errTest
					}
					return nil
				})
				if (i == 1) != (err == errTest) {
					t.Errorf("member %d: %v", i, err)
				}
			})
		}
		m.start()
		if runs != [4]int{3, 3, 3, 1} || hooks.Load() != 3 || count(t, d) != 4 {
			t.Errorf("runs %v, %d hooks, %d rows", runs, hooks.Load(), count(t, d))
		}
	})
}

func TestBatch_RunsAgainOnlyWhoStillWaits(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		accounts(t, d)
		m := meet(t, d)
		ended, end := context.WithCancel(t.Context())
		var runs [4]int
		errs := [4]error{1: errTest}
		join := func(i int, ctx context.Context, then func() error) {
			m.join(func() {
				defer func() { recover() }()
				errs[i] = d.Batch(ctx, func(tx *db.Tx) error {
					runs[i]++
					if _, err := put(t.Context(), tx, fmt.Sprint(i)); err != nil {
						return err
					}
					return then()
				})
			})
		}
		join(0, ended, func() error { return nil })
		join(1, t.Context(), func() error { panic(errTest) })
		join(2, t.Context(), func() error {
			if end(); runs[2] == 1 {
				return &pgconn.PgError{Code: "40001"}
			}
			return nil
		})
		join(3, t.Context(), func() error { return nil })
		m.start()
		if runs != [4]int{1, 1, 2, 1} || errs != [4]error{context.Canceled, errTest} || count(t, d) != 3 {
			t.Errorf("runs %v, errors %v, %d rows", runs, errs, count(t, d))
		}
	})
}

// TestBatch_ACallersDeadlineInAStatementIsNotTheOthers: ended in the middle, the statement would take the connection
// (Postgres) or the transaction (SQLite) down with it.
func TestBatch_ACallersDeadlineInAStatementIsNotTheOthers(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		accounts(t, d)
		slow := `SELECT pg_sleep(0.3)`
		if d.Dialect() == db.SQLite {
			slow = `UPDATE accounts SET balance = (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT count(*) FROM n)`
		}
		m := meet(t, d)
		for i := range 3 {
			m.join(func() {
				err := d.Batch(t.Context(), func(tx *db.Tx) error {
					ctx := t.Context()
					if i == 1 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, 20*time.Millisecond)
						defer cancel()
						if _, err := tx.Exec(ctx, slow); err != nil {
							return err
						}
					}
					_, err := put(ctx, tx, fmt.Sprint(i))
					return err
				})
				if (i == 1) != errors.Is(err, context.DeadlineExceeded) || i != 1 && err != nil {
					t.Errorf("member %d: %v", i, err)
				}
			})
		}
		m.start()
		if n := count(t, d); n != 3 {
			t.Errorf("%d rows, want 3", n)
		}
	})
}

// TestBatch_AFailedCommitIsEverybodysError uses a constraint that Postgres and SQLite check at the commit.
func TestBatch_AFailedCommitIsEverybodysError(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		accounts(t, d)
		exec(t, d, `CREATE TABLE entries (account TEXT REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED)`)
		m := meet(t, d)
		var failed, hooks atomic.Int32
		for i := range 3 {
			m.join(func() {
				err := d.Batch(t.Context(), func(tx *db.Tx) error {
					tx.AfterCommit(func() { hooks.Add(1) })
					account := "a"
					if i == 1 {
						account = "nobody"
					}
					_, err := tx.Exec(t.Context(), `INSERT INTO entries (account) VALUES ($1)`, account)
					return err
				})
				if err != nil {
					failed.Add(1)
				}
			})
		}
		m.start()
		var n int
		if err := d.QueryRow(t.Context(), `SELECT count(*) FROM entries`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n != 0 || failed.Load() != 3 || hooks.Load() != 0 {
			t.Errorf("%d rows, %d failed, %d hooks; want 0, 3, 0", n, failed.Load(), hooks.Load())
		}
	})
}

// TestBatch_KeepsGuardsUnderLoad has many debit one account to the last coin, some giving up in between.
func TestBatch_KeepsGuardsUnderLoad(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		accounts(t, d)
		var paid atomic.Int64
		var wg sync.WaitGroup
		for w := range 16 {
			wg.Go(func() {
				for i := range 40 {
					err := d.Batch(t.Context(), func(tx *db.Tx) error {
						ok, err := guardedDebit(t.Context(), tx, fmt.Sprintf("%d-%d", w, i), 3)
						if err == nil && (!ok || i%7 == 0) {
							return errTest
						}
						return err
					})
					if err == nil {
						paid.Add(3)
					} else if err != errTest {
						t.Errorf("debit: %v", err)
					}
				}
			})
		}
		wg.Wait()
		if left := balance(t, d, "a"); left != 1000-paid.Load() || left != 1 {
			t.Errorf("%d left, %d paid of 1000", left, paid.Load())
		}
	})
}

func TestClose_MayBeCalledTwice(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		if err := errors.Join(d.Close(), d.Close()); err != nil {
			t.Fatal(err)
		}
		if err := d.Batch(t.Context(), func(*db.Tx) error { return nil }); err == nil {
			t.Fatal("a closed database committed")
		}
	})
}

func guardedDebit(ctx context.Context, tx *db.Tx, id string, amount int64) (bool, error) {
	res, err := tx.Exec(ctx, `UPDATE accounts SET balance = balance - $2 WHERE id = $1 AND balance >= $2`, "a", amount)
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO accounts (id, balance, note) VALUES ($1, $2, 'debit')`, id, amount)
	return true, err
}
