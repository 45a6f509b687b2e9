package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Tx is a running transaction, for one goroutine. It ends with the function it was given to.
type Tx struct {
	tx     *sql.Tx
	conn   *sql.Conn       // that tx runs on; nil on SQLite
	shared context.Context // of the group whose transaction this is a part of; nil for a plain one
	hooks  []func()
	failed error // the first statement that failed
	kept   *statements
}

// Tx runs fn in a transaction: an error or a panic undoes everything, nil commits. It is run again after a
// serialization failure, a deadlock or SQLITE_BUSY, so fn must be safe to run again: it assigns results, it does not
// add to them, and touches nothing outside but by AfterCommit. It answers fn's error as it is.
func (d *DB) Tx(ctx context.Context, fn func(tx *Tx) error) error {
	return d.retry(ctx, func() error { return d.once(ctx, fn) })
}

func (d *DB) once(ctx context.Context, fn func(tx *Tx) error) error {
	begun, err := d.begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer begun.end() // also when fn panics
	tx := &Tx{tx: begun.Tx, conn: begun.conn, kept: d.kept}
	if err := tx.call(fn); err != nil {
		return err
	}
	if err := begun.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := d.disk.committed(!isRelaxed(ctx)); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	tx.committed()
	return nil
}

// begun is a transaction that has begun. On Postgres its connection is known, see Tx.ExecAll.
type begun struct {
	*sql.Tx
	conn *sql.Conn
}

func (d *DB) begin(ctx context.Context) (b begun, err error) {
	if d.dialect == SQLite {
		b.Tx, err = d.write.BeginTx(ctx, nil)
		return b, err
	}
	if b.conn, err = d.write.Conn(ctx); err != nil {
		return b, err
	}
	if b.Tx, err = b.conn.BeginTx(ctx, nil); err != nil {
		return b, errors.Join(err, b.conn.Close())
	}
	return b, nil
}

// end undoes what is not committed, and gives the connection back.
func (b begun) end() {
	_ = b.Rollback() // after a commit it does nothing
	if b.conn != nil {
		_ = b.conn.Close() // it is broken, and the pool has seen that
	}
}

// call runs fn. A failed statement that fn hid fails the transaction, and one worth a retry wins over what fn made
// of it.
func (t *Tx) call(fn func(tx *Tx) error) error {
	err := fn(t)
	if retryable(t.failed) {
		return t.failed
	}
	if err == nil && t.failed != nil {
		return fmt.Errorf("a statement failed earlier in this transaction: %w", t.failed)
	}
	return err
}

func (t *Tx) committed() {
	for _, fn := range t.hooks {
		fn()
	}
}

// AfterCommit has fn run once, after the commit, in the order of the calls; never when the transaction is undone.
// What fn does can be lost when the process dies in between.
func (t *Tx) AfterCommit(fn func()) { t.hooks = append(t.hooks, fn) }

// Exec runs one statement.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx = t.context(ctx)
	var res sql.Result
	var err error
	if prepared := t.kept.get(query); prepared != nil {
		res, err = t.tx.StmtContext(ctx, prepared).ExecContext(ctx, args...)
	} else {
		res, err = t.tx.ExecContext(ctx, query, args...)
	}
	t.note(err)
	return res, err
}

// Statement is a text with its arguments.
type Statement struct {
	Query string
	Args  []any
}

// ExecAll runs statements in their order and says how many rows each has met. Postgres is sent all of them at once, so
// that they cost one round trip. Of one that fails the error is answered, and the transaction is undone as after Exec.
func (t *Tx) ExecAll(ctx context.Context, all []Statement) (met []int64, err error) {
	if t.conn != nil {
		met, err = execBatch(t.context(ctx), t.conn, all)
		t.note(err)
		return met, err
	}
	met = make([]int64, len(all))
	for i, one := range all {
		result, err := t.Exec(ctx, one.Query, one.Args...)
		if err != nil {
			return nil, err
		}
		if met[i], err = result.RowsAffected(); err != nil {
			return nil, err
		}
	}
	return met, nil
}

// Query reads rows, the transaction's own changes among them; the caller closes them before the next statement.
func (t *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx = t.context(ctx)
	var rows *sql.Rows
	var err error
	if prepared := t.kept.get(query); prepared != nil {
		rows, err = t.tx.StmtContext(ctx, prepared).QueryContext(ctx, args...)
	} else {
		rows, err = t.tx.QueryContext(ctx, query, args...)
	}
	t.note(err)
	return rows, err
}

// QueryRow reads one row; Scan answers ErrNoRows when there is none, which does not fail the transaction.
func (t *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	ctx = t.context(ctx)
	var row *sql.Row
	if prepared := t.kept.get(query); prepared != nil {
		row = t.tx.StmtContext(ctx, prepared).QueryRowContext(ctx, args...)
	} else {
		row = t.tx.QueryRowContext(ctx, query, args...)
	}
	t.note(row.Err())
	return row
}

func (t *Tx) note(err error) {
	if err != nil && t.failed == nil {
		t.failed = err
	}
}

// context is what a statement runs under. In a group that is the group's deadline: a caller's own end would tear down
// the connection, and with it the others' work, so it is only looked at before the statement.
func (t *Tx) context(ctx context.Context) context.Context {
	switch {
	case t.failed != nil:
		return refused{ctx, fmt.Errorf("a statement failed earlier in this transaction: %w", t.failed)}
	case t.shared == nil || ctx.Err() != nil:
		return ctx
	}
	return joined{t.shared, ctx}
}

// refused is a context that has ended with an error of its own; database/sql answers it without asking the engine.
type refused struct {
	context.Context
	err error
}

func (r refused) Err() error { return r.err }

func (r refused) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

// joined ends with the group and has the caller's values (trace, request id).
type joined struct {
	context.Context
	values context.Context
}

func (j joined) Value(key any) any { return j.values.Value(key) }
