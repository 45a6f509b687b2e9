package db

import (
	"context"
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
	pool := stdlib.OpenDB(*conf)
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

// connectCause drops pgx's own preamble, which repeats user, database and address.
func connectCause(err error) error {
	if ce, ok := errors.AsType[*pgconn.ConnectError](err); ok && ce.Unwrap() != nil {
		return ce.Unwrap()
	}
	return err
}
