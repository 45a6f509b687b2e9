package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	postgresConns   = 16
	postgresPatient = 5 * time.Second
)

func (d *DB) openPostgres(ctx context.Context, c Config) error {
	conf, err := pgx.ParseConfig(c.URL)
	if err != nil { // its text may hold parts of the URL, so it is not shown
		return errors.New("the database URL cannot be read: want postgres://user:password@host:port/name")
	}
	if c.Name != "" {
		conf.RuntimeParams["application_name"] = c.Name
	}
	pool := stdlib.OpenDB(*conf, stdlib.OptionAfterConnect(preferIndexes))
	conns := c.Conns
	if conns == 0 {
		conns = postgresConns
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	d.dialect, d.write, d.read = Postgres, pool, pool

	ctx, cancel := context.WithTimeout(ctx, postgresPatient)
	defer cancel()
	if err := pool.PingContext(ctx); err != nil {
		addr := net.JoinHostPort(conf.Host, strconv.Itoa(int(conf.Port)))
		return errors.Join(fmt.Errorf("cannot reach the database at %s: %w", addr, connectCause(err)), pool.Close())
	}
	return nil
}

// preferIndexesSQL leaves alone what the URL, the role or the server's own configuration says.
const preferIndexesSQL = `SELECT set_config(name, '1.1', false) FROM pg_settings WHERE name = 'random_page_cost' AND source = 'default'`

// preferIndexes has Postgres take a page anywhere to cost little more than the next one, as it does in memory and on
// today's disks. It takes it to cost four times as much otherwise, reads small tables whole, and keeps a prepared
// statement to that while its table grows. CockroachDB has no such setting.
func preferIndexes(ctx context.Context, c *pgx.Conn) error {
	_, err := c.Exec(ctx, preferIndexesSQL)
	return err
}

// connectCause drops pgx's own preamble, which repeats user, database and address.
func connectCause(err error) error {
	if ce, ok := errors.AsType[*pgconn.ConnectError](err); ok && ce.Unwrap() != nil {
		return ce.Unwrap()
	}
	return err
}

// execBatch runs statements in the transaction that a connection has begun, in one round trip. A transaction may have
// been undone meanwhile, when its context ended: what would follow then is not run.
func execBatch(ctx context.Context, conn *sql.Conn, all []Statement) (met []int64, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = conn.Raw(func(driver any) error {
		c := driver.(*stdlib.Conn).Conn()
		if c.PgConn().TxStatus() != inTransaction {
			return sql.ErrTxDone
		}
		var batch pgx.Batch
		for _, one := range all {
			batch.Queue(one.Query, one.Args...)
		}
		met, err = metBy(c.SendBatch(ctx, &batch), len(all))
		return err
	})
	return met, err
}

// inTransaction is how Postgres says that a transaction has begun and has not failed.
const inTransaction = 'T'

// metBy is how many rows each statement of a batch has met.
func metBy(results pgx.BatchResults, n int) (met []int64, err error) {
	met = make([]int64, n)
	for i := range met {
		tag, err := results.Exec()
		if err != nil {
			_ = results.Close() // its error is the same
			return nil, err
		}
		met[i] = tag.RowsAffected()
	}
	return met, results.Close()
}
