package db

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// What follows is for work on the whole database, which no store does: backup, restore and the doctor.

// Conn is a connection of its own; the caller closes it. On SQLite it is the one that writes, so that nobody else does
// meanwhile.
func (d *DB) Conn(ctx context.Context) (*sql.Conn, error) { return d.write.Conn(ctx) }

// Schema is how far one folder of the migrations has come in a database.
type Schema struct {
	Folder string
	Has    int64 // the newest migration that the database has; 0: none
	Wants  int64 // the newest that this program has; 0: it does not know the folder
}

const versionTablesSQL = `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_name LIKE 'migrations\_%' ORDER BY table_name`

const sqliteVersionTablesSQL = `SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'migrations\_%' ESCAPE '\' ORDER BY name`

// Schemas compares the database with the migrations, in the order of the folders. It only reads.
func Schemas(ctx context.Context, d *DB, fsys fs.FS) ([]Schema, error) {
	found, err := wanted(fsys)
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	query := versionTablesSQL
	if d.dialect == SQLite {
		query = sqliteVersionTablesSQL
	}
	tables, err := d.texts(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("list the migrations of the database: %w", err)
	}
	for _, table := range tables {
		folder := strings.TrimPrefix(table, versionPrefix)
		if table == lockTable {
			continue
		}
		has := int64(0)
		if err := d.QueryRow(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM `+table+` WHERE is_applied`).Scan(&has); err != nil {
			return nil, fmt.Errorf("read the migrations of %s: %w", folder, err)
		}
		i, known := slices.BinarySearchFunc(found, folder, func(s Schema, name string) int { return strings.Compare(s.Folder, name) })
		if !known {
			found = slices.Insert(found, i, Schema{Folder: folder})
		}
		found[i].Has = has
	}
	return found, nil
}

// wanted are the folders of the migrations with their newest.
func wanted(fsys fs.FS) (all []Schema, err error) {
	folders, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		files, err := fs.Glob(fsys, folder.Name()+"/*.sql")
		if err != nil {
			return nil, err
		}
		newest := int64(0)
		for _, file := range files {
			number, _, _ := strings.Cut(strings.TrimPrefix(file, folder.Name()+"/"), "_")
			n, err := strconv.ParseInt(number, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%s is not called NNNN_name.sql", file)
			}
			newest = max(newest, n)
		}
		if newest > 0 {
			all = append(all, Schema{Folder: folder.Name(), Wants: newest})
		}
	}
	return all, nil
}

// texts are the rows of a query for one column of text.
func (d *DB) texts(ctx context.Context, query string, args ...any) (all []string, err error) {
	rows, err := d.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

// LockSchema keeps every process from migrating, and so from starting, until unlock. It waits for one that migrates now.
func (d *DB) LockSchema(ctx context.Context) (unlock func(), err error) { return d.lockMigrations(ctx) }

// CopyRows writes rows into a table of Postgres by COPY, which is many times faster than INSERT, inside the transaction
// of conn. Next answers nil after the last row.
func CopyRows(ctx context.Context, conn *sql.Conn, table string, columns []string, next func() ([]any, error)) (rows int64, err error) {
	err = conn.Raw(func(driver any) error {
		c, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("COPY needs Postgres, this is a %T", driver)
		}
		rows, err = c.Conn().CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromFunc(next))
		return err
	})
	return rows, err
}
