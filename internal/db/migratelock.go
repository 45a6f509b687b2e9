package db

import (
	"context"
	"crypto/rand"
	"log/slog"
	"time"
)

const (
	lockTTL  = 30 * time.Second // after a crash the next one waits at most this long
	lockBeat = 5 * time.Second
	lockPoll = 50 * time.Millisecond
)

// How the tables are called in which migrations are noted, and the one that is not such a one.
const (
	versionPrefix = "migrations_"
	lockTable     = versionPrefix + "lock"
)

const lockTableSQL = `CREATE TABLE IF NOT EXISTS migrations_lock (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until BIGINT NOT NULL)`

const lockSQL = `
	INSERT INTO migrations_lock (name, holder, until) VALUES ('schema', $1, $2)
	ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
	WHERE migrations_lock.holder = excluded.holder OR migrations_lock.until <= $3`

const unlockSQL = `DELETE FROM migrations_lock WHERE name = 'schema' AND holder = $1`

// lockMigrations waits for the lock that lets one process migrate. It is a row with an end, kept alive while it is
// held: it works on every engine (CockroachDB has no advisory locks, SQLite none that spans transactions).
func (d *DB) lockMigrations(ctx context.Context) (unlock func(), err error) {
	if err := d.makeLockTable(ctx); err != nil {
		return nil, err
	}
	holder := rand.Text()
	if err := d.awaitLock(ctx, holder); err != nil {
		return nil, err
	}
	beat, stop := context.WithCancel(ctx)
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		d.beat(beat, holder)
	}()
	return func() {
		stop()
		<-beating
		if _, err := d.Exec(context.WithoutCancel(ctx), unlockSQL, holder); err != nil {
			d.log.WarnContext(ctx, "migration lock not released, it ends by itself", slog.Any("error", err))
		}
	}, nil
}

// makeLockTable tries again on any error but the last: two processes that make the same table at once fail on Postgres's own
// catalogue.
func (d *DB) makeLockTable(ctx context.Context) error {
	for try := 1; ; try++ {
		_, err := d.Exec(ctx, lockTableSQL)
		if err == nil || try == attempts {
			return err
		}
		if err := pause(ctx, lockPoll); err != nil {
			return err
		}
	}
}

func (d *DB) awaitLock(ctx context.Context, holder string) error {
	for said := false; ; said = true {
		got, err := d.takeLock(ctx, holder)
		if err != nil || got {
			return err
		}
		if !said {
			d.log.InfoContext(ctx, "waiting for another process to migrate")
		}
		if err := pause(ctx, lockPoll); err != nil {
			return err
		}
	}
}

func (d *DB) takeLock(ctx context.Context, holder string) (bool, error) {
	now := time.Now()
	res, err := d.Exec(ctx, lockSQL, holder, Micro(now.Add(lockTTL)), Micro(now))
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

func (d *DB) beat(ctx context.Context, holder string) {
	for pause(ctx, lockBeat) == nil {
		if _, err := d.takeLock(ctx, holder); err != nil && ctx.Err() == nil {
			d.log.WarnContext(ctx, "migration lock not prolonged", slog.Any("error", err))
		}
	}
}
