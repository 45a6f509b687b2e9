package backup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"m3o/internal/db"
)

// Config is what a backup and a restore need to know.
type Config struct {
	Migrations fs.FS                         // what this program knows of the schema
	Version    string                        // of this program
	Now        func() time.Time              // UTC
	Progress   func(table string, row int64) // is told of each table as it is read or written, and of every progressEvery rows; nil: nobody is

	// Amend changes what is restored, in a draft of it on SQLite, before it is anywhere else; nil: nothing is changed.
	Amend func(ctx context.Context, draft *db.DB, about About) error
}

// progressEvery is after how many rows of a table Progress is told.
const progressEvery = 1_000_000

// Journal is what waits in the gateway's journal: one call a line.
type Journal struct {
	Served []string // calls that are answered and not recorded
	Open   []string // calls whose answers go on
}

// About says what a backup is.
type About struct {
	MadeAt  time.Time
	Version string // of the program that made it
	Engine  string // that it was made from
	Tables  int
	Rows    int64
	Journal Journal
}

// The tables that a backup has beside those of the schema.
const ownTables = `
	DROP TABLE IF EXISTS backup_about; DROP TABLE IF EXISTS backup_tables; DROP TABLE IF EXISTS backup_journal;
	CREATE TABLE backup_about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
	CREATE TABLE backup_tables (name TEXT PRIMARY KEY, rows BIGINT NOT NULL, digest TEXT NOT NULL);
	CREATE TABLE backup_journal (place BIGINT PRIMARY KEY, open BOOLEAN NOT NULL, line TEXT NOT NULL)`

// journalTable is summed up like the tables of the schema.
var journalTable = table{name: "backup_journal", columns: []string{"place", "open", "line"}, kinds: []kind{integer, boolean, text}}

// format is the form of the file; a program reads none that is newer.
const format = 1

// Write backs a database up to a file that does not exist yet. The journal must have been read before, so that a call
// that is recorded meanwhile is in the backup twice rather than not at all: the recorder knows it by its id.
func Write(ctx context.Context, d *db.DB, file string, journal Journal, c Config) (about About, err error) {
	if _, err := os.Lstat(file); err == nil {
		return about, fmt.Errorf("%s exists: name a new file", file)
	}
	if err := c.knows(ctx, d); err != nil {
		return about, err
	}
	draft, err := draftBeside(file)
	if err != nil {
		return about, err
	}
	defer func() { _ = os.RemoveAll(draft.folder) }()
	about = About{MadeAt: c.Now(), Version: c.Version, Engine: d.Dialect().String(), Journal: journal}
	if err := c.write(ctx, d, draft.file, &about); err != nil {
		return about, err
	}
	return about, draft.name(file, false)
}

// knows says whether the program knows all that is in the database; from Postgres, whose tables it reads by name, it
// must be exactly that.
func (c Config) knows(ctx context.Context, d *db.DB) error {
	schemas, err := db.Schemas(ctx, d, c.Migrations)
	if err != nil {
		return err
	}
	begun := false
	for _, s := range schemas {
		begun = begun || s.Has > 0
	}
	if !begun {
		return errors.New("this database is not one of m3o, or m3o has never started on it: there is nothing to back up")
	}
	for _, s := range schemas {
		switch {
		case s.Has > s.Wants:
			return fmt.Errorf("%s in the database is at version %d, this program knows %d: use the m3o that runs on it", s.Folder, s.Has, s.Wants)
		case s.Has < s.Wants && d.Dialect() == db.Postgres:
			return fmt.Errorf("%s in the database is at version %d, this program is at %d: use the m3o that runs on it, or run m3o migrate first", s.Folder, s.Has, s.Wants)
		}
	}
	return nil
}

// draft is a file in a folder of its own beside the place where it shall be.
type draft struct{ folder, file string }

func draftBeside(file string) (draft, error) {
	folder, err := os.MkdirTemp(filepath.Dir(file), "."+filepath.Base(file)+"-draft-*")
	if err != nil {
		return draft{}, fmt.Errorf("write beside %s: %w", file, pathCause(err))
	}
	return draft{folder, filepath.Join(folder, "draft.db")}, nil
}

// name gives the draft, which nobody has open, its name; in place of another file only if replace.
func (d draft) name(file string, replace bool) error {
	if _, err := os.Lstat(file); err == nil && !replace {
		return fmt.Errorf("%s exists by now: name a new file", file)
	}
	if err := syncFile(d.file); err != nil {
		return err
	}
	if err := os.Rename(d.file, file); err != nil {
		return fmt.Errorf("write %s: %w", file, pathCause(err))
	}
	return syncFile(filepath.Dir(file))
}

// syncFile makes a file, or the names in a folder, outlive the machine.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// pathCause drops the path that a sentence has named already.
func pathCause(err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err
	}
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		return le.Err
	}
	return err
}

// write makes the draft, and reads all of it again.
func (c Config) write(ctx context.Context, d *db.DB, file string, about *About) error {
	var read map[string]sum // what was read from Postgres
	if d.Dialect() == db.SQLite {
		if err := d.Backup(ctx, file); err != nil {
			return err
		}
	}
	copied, err := db.Open(ctx, db.Config{Path: file})
	if err != nil {
		return err
	}
	if d.Dialect() == db.Postgres {
		read, err = c.fetch(ctx, d, copied)
	}
	if err == nil {
		err = c.seal(ctx, copied, about, read)
	}
	return errors.Join(err, copied.Close())
}

// fetch copies every table of Postgres, all as they are at one moment, into a new SQLite database.
func (c Config) fetch(ctx context.Context, d, into *db.DB) (read map[string]sum, err error) {
	if err := db.Migrate(ctx, into, c.Migrations); err != nil {
		return nil, err
	}
	tables, err := tablesOf(ctx, into)
	if err != nil {
		return nil, err
	}
	conn, err := d.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	snapshot, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("take a snapshot: %w", err)
	}
	defer snapshot.Rollback() // it has only read
	read = map[string]sum{}
	for _, t := range tables {
		if read[t.name], err = c.fetchTable(ctx, snapshot, into, t); err != nil {
			return nil, fmt.Errorf("copy the table %s: %w", t.name, err)
		}
	}
	return read, nil
}

// fetchChunk is how many rows are written to the draft in one transaction.
const fetchChunk = 1000

func (c Config) fetchTable(ctx context.Context, snapshot *sql.Tx, into *db.DB, t table) (total sum, err error) {
	rows, err := snapshot.QueryContext(ctx, t.selectSQL())
	if err != nil {
		return total, err
	}
	defer rows.Close()
	ctx = db.Relaxed(ctx)                                                              // the draft is synced when it is complete
	if _, err := into.Exec(ctx, "DELETE FROM "+quoted([]string{t.name})); err != nil { // what the migrations brought
		return total, err
	}
	for r, insert := t.reader(rows), t.insertSQL(); ; {
		chunk, err := r.chunk(fetchChunk)
		if err != nil || len(chunk) == 0 {
			return total, err
		}
		err = into.Tx(ctx, func(tx *db.Tx) error {
			for _, values := range chunk {
				if _, err := tx.Exec(ctx, insert, forSQLite(values)...); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return total, err
		}
		for _, values := range chunk {
			total.add(values)
			c.tell(t.name, total.rows)
		}
	}
}

func (c Config) tell(name string, rows int64) {
	if c.Progress != nil && rows%progressEvery == 0 {
		c.Progress(name, rows)
	}
}

// seal checks the draft, adds up what it holds and writes that into it. What was read elsewhere must be the same.
func (c Config) seal(ctx context.Context, d *db.DB, about *About, read map[string]sum) error {
	if err := sound(ctx, d); err != nil {
		return fmt.Errorf("the database is damaged: %w", err)
	}
	if err := execute(ctx, d, ownTables); err != nil {
		return err
	}
	if err := writeJournal(ctx, d, about.Journal); err != nil {
		return err
	}
	tables, err := tablesOf(ctx, d)
	if err != nil {
		return err
	}
	about.Tables = len(tables)
	for _, t := range append(tables, journalTable) {
		total, err := sumOf(ctx, from{d}, t)
		if err != nil {
			return err
		}
		if want, ok := read[t.name]; ok && want != total {
			return fmt.Errorf("the table %s was not copied rightly: %d rows of %d", t.name, total.rows, want.rows)
		}
		if t.name != journalTable.name {
			about.Rows += total.rows
			c.tellEnd(t.name, total.rows)
		}
		if _, err := d.Exec(ctx, `INSERT INTO backup_tables (name, rows, digest) VALUES ($1, $2, $3)`, t.name, total.rows, total.digest()); err != nil {
			return err
		}
	}
	return c.writeAbout(ctx, d, about)
}

func (c Config) tellEnd(name string, rows int64) {
	if c.Progress != nil {
		c.Progress(name, rows)
	}
}

// sound asks SQLite whether all pages, indexes and references of a file fit together.
func sound(ctx context.Context, d *db.DB) error {
	said, err := column[string](ctx, d, `PRAGMA integrity_check(1)`)
	if err != nil {
		return err
	}
	if len(said) != 1 || said[0] != "ok" {
		return fmt.Errorf("%v", said)
	}
	lost, err := column[string](ctx, d, `SELECT "table" FROM pragma_foreign_key_check LIMIT 1`)
	if err == nil && len(lost) > 0 {
		err = fmt.Errorf("rows of %s refer to rows that are not there", lost[0])
	}
	return err
}

// execute runs statements of SQLite in one transaction.
func execute(ctx context.Context, d *db.DB, statements string) error {
	return d.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, statements)
		return err
	})
}

func writeJournal(ctx context.Context, d *db.DB, j Journal) error {
	return d.Tx(ctx, func(tx *db.Tx) error {
		for i, line := range slices.Concat(j.Served, j.Open) {
			_, err := tx.Exec(ctx, `INSERT INTO backup_journal (place, open, line) VALUES ($1, $2, $3)`, int64(i), i >= len(j.Served), line)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// writeAbout comes last: a file without it is none of ours.
func (c Config) writeAbout(ctx context.Context, d *db.DB, about *About) error {
	shape, err := shapeOf(ctx, d)
	if err != nil {
		return err
	}
	return d.Tx(ctx, func(tx *db.Tx) error {
		for name, value := range map[string]string{
			"format": strconv.Itoa(format), "made_at": about.MadeAt.Format(time.RFC3339Nano), "version": about.Version, "engine": about.Engine, "shape": shape,
		} {
			if _, err := tx.Exec(ctx, `INSERT INTO backup_about (name, value) VALUES ($1, $2)`, name, value); err != nil {
				return err
			}
		}
		return nil
	})
}

// shapeOf is the digest of the schema, how far its migrations have come included.
func shapeOf(ctx context.Context, d *db.DB) (string, error) {
	parts, err := column[string](ctx, d, `SELECT type || ' ' || name || ' ' || COALESCE(sql, '') FROM sqlite_schema`)
	if err != nil {
		return "", err
	}
	var total sum
	for _, part := range parts {
		total.add([]any{part})
	}
	versions, err := column[string](ctx, d, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'migrations\_%' ESCAPE '\' AND name <> 'migrations_lock'`)
	if err != nil {
		return "", err
	}
	for _, name := range versions {
		newest, err := column[int64](ctx, d, `SELECT COALESCE(MAX(version_id), 0) FROM `+quoted([]string{name})+` WHERE is_applied`)
		if err != nil {
			return "", err
		}
		total.add([]any{name, newest[0]})
	}
	return total.digest(), nil
}
