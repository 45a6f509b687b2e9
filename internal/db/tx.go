package db

import (
	"context"
	"database/sql"
	"fmt"
)

// Tx is a running transaction, for one goroutine. It ends with the function it was given to.
type Tx struct {
	tx     *sql.Tx
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
	begun, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer begun.Rollback() // also when fn panics; after the commit it does nothing
	tx := &Tx{tx: begun, kept: d.kept}
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
