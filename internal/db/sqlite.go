package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite" // the driver named sqlite
)

const sqliteReaders = 4

// openSQLite opens the file twice: one connection that writes, so that writers queue in Go and not on a file lock, and
// a few that only read and never wait for it (WAL).
func (d *DB) openSQLite(ctx context.Context, path string) error {
	if err := touch(path); err != nil {
		return fmt.Errorf("cannot open the database file %s: %w", path, pathCause(err))
	}
	d.dialect = SQLite
	teachLetters()
	var err error
	if d.write, err = openPool(ctx, sqliteDSN(path, "_txlock=immediate"), 1); err != nil {
		return fmt.Errorf("cannot open the database file %s: %w", path, err)
	}
	if d.read, err = openPool(ctx, sqliteDSN(path, "_pragma=query_only(1)"), sqliteReaders); err != nil {
		return errors.Join(fmt.Errorf("cannot open the database file %s for reading: %w", path, err), d.write.Close())
	}
	if d.disk, err = newDisk(d, path); err != nil {
		return errors.Join(fmt.Errorf("cannot open the database file %s: %w", path, pathCause(err)), d.read.Close(), d.write.Close())
	}
	d.kept = newStatements(d.write)
	d.batch.kept = d.kept
	d.seen = newStatements(d.read)
	return nil
}

// teachLetters gives SQLite a LOWER that knows all letters, as that of Postgres does, so that a search finds the same on
// both. Its own knows the 26 of English. The driver keeps it for the whole program: from the second time on it says so.
func teachLetters() {
	_ = sqlite.RegisterDeterministicScalarFunction("lower", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		switch value := args[0].(type) {
		case string:
			return strings.ToLower(value), nil
		case []byte:
			return strings.ToLower(string(value)), nil
		default: // null, and what has no letters
			return value, nil
		}
	})
}

// touch makes the file with its owner's rights only: it holds hashes, tokens and mail addresses. SQLite gives its
// side files the same rights.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// pathCause drops the operation and path of a *fs.PathError: the sentence around it names the path already.
func pathCause(err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err
	}
	return err
}

// sqliteDSN waits for locks first, since already the switch to WAL takes one. What
// lasts is synced by disk, not by SQLite.
func sqliteDSN(path, extra string) string {
	file := (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
	return "file:" + file + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)" +
		"&_pragma=synchronous(NORMAL)&_pragma=wal_autocheckpoint(0)&_pragma=foreign_keys(1)&_pragma=temp_store(MEMORY)&" + extra
}

func openPool(ctx context.Context, dsn string, conns int) (*sql.DB, error) {
	pool, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	// Ping would not read the file: a file that is no database must be found here, not by the first caller.
	if _, err := pool.ExecContext(ctx, "SELECT count(*) FROM sqlite_schema"); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return pool, nil
}

// Backup writes a consistent copy of an SQLite database to a file that does not exist yet, while others read and write.
func (d *DB) Backup(ctx context.Context, path string) error {
	if d.dialect != SQLite {
		return errors.New("Backup copies an SQLite file, and this is Postgres: package backup knows both")
	}
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("backup: %s exists: name a new file", path)
	}
	if err := touch(path); err != nil {
		return fmt.Errorf("backup to %s: %w", path, pathCause(err))
	}
	if _, err := d.write.ExecContext(ctx, "VACUUM INTO $1", path); err != nil {
		return errors.Join(fmt.Errorf("backup to %s: %w", path, err), os.Remove(path))
	}
	return nil
}
