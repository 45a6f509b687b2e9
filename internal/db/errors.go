package db

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// attempts bounds retries: with waits of 2 ms doubling to 256 ms, about half a second in all besides the work itself.
const (
	attempts  = 9
	firstWait = 2 * time.Millisecond
)

// IsUnique tells whether err is a duplicate key: a primary key or a unique index that already has the value.
func IsUnique(err error) bool {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pe.Code == "23505"
	}
	if se, ok := errors.AsType[*sqlite.Error](err); ok {
		switch se.Code() {
		case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_ROWID:
			return true
		}
	}
	return false
}

// notThere are the codes of a Postgres that takes nobody now: it is being stopped, has crashed or is starting, or has as
// many connections as it may.
var notThere = []string{"57P01", "57P02", "57P03", "53300"}

// IsAway tells whether an error of Open says that the database may only not be there yet: nobody answers at its address,
// what stands before it breaks off, or it takes nobody now. A wrong password or name is none.
func IsAway(err error) bool {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return slices.Contains(notThere, pe.Code)
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// retryable tells whether the same transaction may succeed when run again: serialization failure, deadlock, or an
// SQLite lock held by another process.
func retryable(err error) bool {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pe.Code == "40001" || pe.Code == "40P01"
	}
	if se, ok := errors.AsType[*sqlite.Error](err); ok {
		code := se.Code() & 0xff // the low byte is the primary code
		return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED
	}
	return false
}

// retry runs fn until it succeeds, fails for good, the attempts are used up, or ctx ends. Jitter keeps two losers from
// meeting again.
func (d *DB) retry(ctx context.Context, fn func() error) error {
	wait := firstWait
	for try := 1; ; try++ {
		err := fn()
		if !retryable(err) || try == attempts {
			return err
		}
		d.log.DebugContext(ctx, "transaction retried", slog.Int("try", try), slog.Any("error", err))
		if err := pause(ctx, wait/2+rand.N(wait)); err != nil {
			return err
		}
		wait *= 2
	}
}

// pause waits for d, or answers why ctx ended before.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
