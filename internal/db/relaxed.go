package db

import (
	"context"
	"database/sql"
	"fmt"
)

type relaxedKey struct{}

// Relaxed returns a context whose transactions on SQLite are handed to the
// operating system and not waited for on the disk: they survive the death of the
// process, while a machine that loses power may lose the last of them, never a
// part of one and never one before another. A group is relaxed if all its members
// are. Postgres knows nothing of it.
//
// Use it for what another record can give back, such as calls that are in a
// journal of the same strength.
func Relaxed(ctx context.Context) context.Context {
	return context.WithValue(ctx, relaxedKey{}, true)
}

func isRelaxed(ctx context.Context) bool {
	relaxed, _ := ctx.Value(relaxedKey{}).(bool)
	return relaxed
}

// begin starts a transaction; end undoes it unless it was committed.
func (d *DB) begin(ctx context.Context, relaxed bool) (tx *sql.Tx, end func(), err error) {
	conn, err := d.write.Conn(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("begin: %w", err)
	}
	if d.dialect == SQLite && d.relaxed != relaxed {
		// SQLite's writer is one connection, so whoever has it has d.relaxed too.
		level := "PRAGMA synchronous = FULL"
		if relaxed {
			level = "PRAGMA synchronous = NORMAL"
		}
		if _, err := conn.ExecContext(ctx, level); err != nil {
			_ = conn.Close()
			return nil, nil, fmt.Errorf("begin: %w", err)
		}
		d.relaxed = relaxed
	}
	tx, err = conn.BeginTx(ctx, nil)
	if err != nil {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("begin: %w", err)
	}
	return tx, func() {
		_ = tx.Rollback() // after a commit it does nothing
		_ = conn.Close()
	}, nil
}
