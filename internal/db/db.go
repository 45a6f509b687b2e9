// Package db owns the database: opening it, transactions with retries, grouped commits and migrations.
// One SQL text runs on SQLite (embedded, the default) and on Postgres or CockroachDB. Stores import it; it imports no
// package of ours.
//
// The portable subset: $1 parameters, TEXT, BIGINT, BOOLEAN and BYTEA, CHECK, partial unique indexes, ON CONFLICT,
// RETURNING, CTE, window functions, row-value comparison, string_agg without an order. Times are BIGINT Unix microseconds passed from Go (Micro,
// Time). Not in it: now(), arrays, ILIKE, serials, JSON operators, :: casts, FOR UPDATE.
//
// Three rules for a store:
//   - Writes go through Tx or Batch (or a single DB.Exec). DB.Query and DB.QueryRow read; on SQLite they refuse to write,
//     also by INSERT … RETURNING.
//   - Inside a transaction use only its *Tx. SQLite has one writer: a DB.Exec, Tx or Batch inside a transaction would wait
//     for itself.
//   - A statement that failed ends its transaction, on both engines, as Postgres has it: use ON CONFLICT instead of
//     catching a duplicate and going on.
package db

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
)

// ErrNoRows is what Scan answers when QueryRow found no row.
var ErrNoRows = sql.ErrNoRows

// Config says where the database is: exactly one of Path and URL is set.
type Config struct {
	// Path is an SQLite file; it is made (readable by its owner only) when it does not exist, its folder is not.
	Path string
	// URL is a postgres:// address.
	URL string
	// Name is how the process calls itself to Postgres, which shows it to whoever asks who is connected; empty: as the URL
	// says.
	Name string
	// Conns is the most connections to hold to Postgres; 0 means 16.
	Conns int
	// Strict has SQLite wait for the disk after relaxed transactions, too: for a database on which processes of other
	// machines rely, since they outlive the power of this one.
	Strict bool
	// Logger is told about retries, applied migrations and waits; nil discards.
	Logger *slog.Logger
}

// Dialect is the engine behind a DB.
type Dialect int

// The engines. CockroachDB counts as Postgres.
const (
	SQLite Dialect = iota
	Postgres
)

// String is the engine's name in lower case.
func (d Dialect) String() string {
	if d == Postgres {
		return "postgres"
	}
	return "sqlite"
}

// Querier runs statements: *DB outside a transaction, *Tx inside one.
type Querier interface {
	Exec(ctx context.Context, query string, args ...any) (sql.Result, error)
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRow(ctx context.Context, query string, args ...any) *sql.Row
}

var (
	_ Querier = (*DB)(nil)
	_ Querier = (*Tx)(nil)
)

// DB is an open database, safe for concurrent use.
type DB struct {
	dialect Dialect
	write   *sql.DB // SQLite: one connection; Postgres: the pool
	read    *sql.DB // SQLite: four connections that cannot write; Postgres: the same pool
	log     *slog.Logger
	batch   batcher
	kept    *statements // of write, on SQLite
	seen    *statements // of read, on SQLite
	disk    *disk       // of SQLite's files
}

// Open opens the database and makes sure that it answers; a Postgres that does not within 5 seconds is an error.
// Errors are sentences for an operator and never hold a password.
func Open(ctx context.Context, c Config) (*DB, error) {
	d := &DB{log: c.Logger}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Path != "" && c.URL != "":
		return nil, errors.New("the database is given twice: set either a file or a postgres:// URL")
	case c.Path != "":
		if _, err := opened(d, d.openSQLite(ctx, c.Path)); err != nil {
			return nil, err
		}
		d.disk.strict = c.Strict
		return d, nil
	case c.URL != "":
		return opened(d, d.openPostgres(ctx, c))
	}
	return nil, errors.New("no database is given: set a file or a postgres:// URL")
}

func opened(d *DB, err error) (*DB, error) {
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Close waits for running batches and closes all connections. It may be called twice.
func (d *DB) Close() error {
	d.batch.groups.Wait()
	d.kept.close()
	d.seen.close()
	d.disk.wait()
	if d.read == d.write {
		return d.write.Close()
	}
	return errors.Join(d.read.Close(), d.write.Close(), d.disk.close())
}

// Dialect is the engine. Only this package and bus/outbox ask.
func (d *DB) Dialect() Dialect { return d.dialect }

// Ping asks the database for a sign of life.
func (d *DB) Ping(ctx context.Context) error { return d.read.PingContext(ctx) }

// Exec runs one writing statement in a transaction of its own, retried like Tx.
func (d *DB) Exec(ctx context.Context, query string, args ...any) (res sql.Result, err error) {
	run := func() error {
		res, err = d.write.ExecContext(ctx, query, args...)
		return err
	}
	if d.dialect == SQLite { // whose commits are made durable by once
		run = func() error {
			return d.once(ctx, func(tx *Tx) error {
				res, err = tx.Exec(ctx, query, args...)
				return err
			})
		}
	}
	return res, d.retry(ctx, run)
}

// Query reads committed rows; the caller closes them.
func (d *DB) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if prepared := d.seen.get(query); prepared != nil { //nolint:sqlclosecheck // it is kept until the pool closes
		return prepared.QueryContext(ctx, args...)
	}
	return d.read.QueryContext(ctx, query, args...)
}

// QueryRow reads one committed row; Scan answers ErrNoRows when there is none.
func (d *DB) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	if prepared := d.seen.get(query); prepared != nil { //nolint:sqlclosecheck // it is kept until the pool closes
		return prepared.QueryRowContext(ctx, args...)
	}
	return d.read.QueryRowContext(ctx, query, args...)
}
