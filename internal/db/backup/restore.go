package backup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"m3o/internal/db"
)

// magic is how an SQLite database begins.
const magic = "SQLite format 3\x00"

// errDamaged is said of a file whose content is not what it was.
var errDamaged = errors.New("the file is damaged: take another backup")

// open checks the file and makes a draft of it, beside the path that is given, that is brought up to date and has no
// tables of a backup any more.
func (c Config) open(ctx context.Context, file, beside string) (made draft, about About, err error) {
	if made, err = draftBeside(beside); err != nil {
		return made, about, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(made.folder)
		}
	}()
	if err := copyFile(made.file, file); err != nil {
		return made, about, err
	}
	d, err := db.Open(ctx, db.Config{Path: made.file})
	if err != nil {
		return made, about, fmt.Errorf("%s: %w (%w)", file, errDamaged, err)
	}
	if about, err = c.verify(ctx, d); err != nil {
		return made, about, errors.Join(fmt.Errorf("%s: %w", file, err), d.Close())
	}
	err = c.bringUpToDate(ctx, d)
	if err == nil && c.Amend != nil {
		err = c.Amend(ctx, d, about)
	}
	return made, about, errors.Join(err, d.Close())
}

// copyFile copies a backup to a draft.
func copyFile(to, file string) (err error) {
	source, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("%s cannot be read: %w", file, pathCause(err))
	}
	defer func() { _ = source.Close() }() // it was only read
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(source, head); err != nil || string(head) != magic {
		return fmt.Errorf("%s is not a backup: want a file that m3o backup has written", file)
	}
	if _, err := source.Seek(0, io.SeekStart); err != nil {
		return err
	}
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	if err := errors.Join(err, target.Close()); err != nil {
		return fmt.Errorf("copy %s: %w", file, err)
	}
	return nil
}

// verify reads all of a backup and holds it to what it says of itself.
func (c Config) verify(ctx context.Context, d *db.DB) (about About, err error) {
	shape, err := readAbout(ctx, d, &about)
	if err != nil {
		return about, err
	}
	if err := c.notNewer(ctx, d); err != nil {
		return about, err
	}
	if now, err := shapeOf(ctx, d); err != nil || now != shape {
		return about, errDamaged
	}
	if err := sound(ctx, d); err != nil {
		return about, fmt.Errorf("%w (%w)", errDamaged, err)
	}
	tables, err := tablesOf(ctx, d)
	if err != nil {
		return about, fmt.Errorf("%w (%w)", errDamaged, err)
	}
	for _, t := range append(tables, journalTable) {
		total, err := sumOf(ctx, from{d}, t)
		if err != nil {
			return about, fmt.Errorf("%w (%w)", errDamaged, err)
		}
		var rows int64
		var digest string
		err = d.QueryRow(ctx, `SELECT rows, digest FROM backup_tables WHERE name = $1`, t.name).Scan(&rows, &digest)
		if err != nil || rows != total.rows || digest != total.digest() {
			return about, fmt.Errorf("%w (the table %s is not what it was)", errDamaged, t.name)
		}
		if t.name != journalTable.name {
			about.Tables++
			about.Rows += total.rows
		}
	}
	about.Journal, err = readJournal(ctx, d)
	return about, err
}

// readAbout reads what a backup says of itself.
func readAbout(ctx context.Context, d *db.DB, about *About) (shape string, err error) {
	found := map[string]string{}
	rows, err := d.Query(ctx, `SELECT name, value FROM backup_about`)
	if err != nil {
		return "", errors.New("this is an SQLite database and not a backup: want a file that m3o backup has written")
	}
	defer rows.Close()
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return "", errDamaged
		}
		found[name] = value
	}
	if err := rows.Err(); err != nil {
		return "", errDamaged
	}
	form, err := strconv.Atoi(found["format"])
	if err != nil || found["shape"] == "" {
		return "", errDamaged
	}
	if form > format {
		return "", fmt.Errorf("the backup has the form %d, this program knows %d: use a newer m3o", form, format)
	}
	about.Version, about.Engine = found["version"], found["engine"]
	if about.MadeAt, err = time.Parse(time.RFC3339Nano, found["made_at"]); err != nil {
		return "", errDamaged
	}
	return found["shape"], nil
}

// notNewer refuses a backup that has what this program does not know.
func (c Config) notNewer(ctx context.Context, d *db.DB) error {
	schemas, err := db.Schemas(ctx, d, c.Migrations)
	if err != nil {
		return fmt.Errorf("%w (%w)", errDamaged, err)
	}
	for _, s := range schemas {
		if s.Has > s.Wants {
			return fmt.Errorf("%s in the backup is at version %d, this program knows %d: use the m3o that made it, or a newer one", s.Folder, s.Has, s.Wants)
		}
	}
	return nil
}

func readJournal(ctx context.Context, d *db.DB) (j Journal, err error) {
	if j.Served, err = column[string](ctx, d, `SELECT line FROM backup_journal WHERE NOT open ORDER BY place`); err != nil {
		return j, err
	}
	j.Open, err = column[string](ctx, d, `SELECT line FROM backup_journal WHERE open ORDER BY place`)
	return j, err
}

// bringUpToDate makes of a backup a database as this program wants it. Who led then leads no more.
func (c Config) bringUpToDate(ctx context.Context, d *db.DB) error {
	if err := execute(ctx, d, `DROP TABLE backup_about; DROP TABLE backup_tables; DROP TABLE backup_journal`); err != nil {
		return err
	}
	if err := db.Migrate(ctx, d, c.Migrations); err != nil {
		return err
	}
	for _, name := range notSaved {
		there, err := column[string](ctx, d, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name = $1`, name)
		if err != nil {
			return err
		}
		if len(there) > 0 {
			if _, err := d.Exec(ctx, "DELETE FROM "+quoted(there)); err != nil {
				return err
			}
		}
	}
	return nil
}

// ToFile makes an SQLite database of a backup. Nobody may have the database open. One that is there is an error, unless
// replace: then it is kept under the name that is returned.
func ToFile(ctx context.Context, file, target string, replace bool, c Config) (about About, kept string, err error) {
	_, err = os.Lstat(target)
	there := err == nil
	if there && !replace {
		return about, "", fmt.Errorf("there is a database at %s: a restore goes into an empty data directory, or say --force to put it aside", target)
	}
	if _, err := os.Lstat(target + "-wal"); err == nil && !there {
		return about, "", fmt.Errorf("%s-wal is the log of a database that is gone: remove it, it would be taken for the new one's", target)
	}
	made, about, err := c.open(ctx, file, target)
	if err != nil {
		return about, "", err
	}
	defer func() { _ = os.RemoveAll(made.folder) }()
	if there {
		kept = target + ".before-" + c.Now().Format("20060102T150405")
		if err := setAside(ctx, target, kept); err != nil {
			return about, "", err
		}
	}
	return about, kept, made.name(target, there)
}

// setAside gives a database a second name, under which it stays when the first one is taken from it. Whatever its log
// still holds goes along: a log beside another database would be taken for that one's.
func setAside(ctx context.Context, path, kept string) error {
	if d, err := db.Open(ctx, db.Config{Path: path}); err == nil { // one that is damaged cannot be opened, and is kept as it is
		if err := d.Close(); err != nil { // which writes the log back
			return fmt.Errorf("write the log of %s back: %w", path, err)
		}
	}
	for _, part := range []string{"-wal", "-shm"} {
		if err := os.Rename(path+part, kept+part); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("put %s aside: %w", path+part, pathCause(err))
		}
	}
	if err := os.Link(path, kept); err != nil {
		return fmt.Errorf("put %s aside: %w", path, pathCause(err))
	}
	return nil
}

// ToPostgres writes a backup into a database of Postgres, in one transaction. The database must be empty but for what
// the migrations bring, unless replace: then what is in it is deleted. It must be nobody else's meanwhile, and d open
// under a name of its own (db.Config.Name).
func ToPostgres(ctx context.Context, file string, d *db.DB, replace bool, c Config) (about About, err error) {
	made, about, err := c.open(ctx, file, filepath.Join(os.TempDir(), "restore"))
	if err != nil {
		return about, err
	}
	defer func() { _ = os.RemoveAll(made.folder) }()
	source, err := db.Open(ctx, db.Config{Path: made.file})
	if err != nil {
		return about, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	if err := db.Migrate(ctx, d, c.Migrations); err != nil {
		return about, err
	}
	unlock, err := d.LockSchema(ctx)
	if err != nil {
		return about, err
	}
	defer unlock()
	if err := alone(ctx, d); err != nil {
		return about, err
	}
	return about, c.fill(ctx, source, d, replace)
}

// fill writes every table, reads it again and compares.
func (c Config) fill(ctx context.Context, source, d *db.DB, replace bool) (err error) {
	tables, err := tablesOf(ctx, source)
	if err != nil {
		return err
	}
	conn, err := d.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after the commit it does nothing
	if !replace {
		if err := c.empty(ctx, tx, tables); err != nil {
			return err
		}
	}
	for _, t := range slices.Backward(tables) { // rows that refer to others go first
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+quoted([]string{t.name})); err != nil {
			return fmt.Errorf("empty the table %s: %w", t.name, err)
		}
	}
	for _, t := range tables {
		if err := c.fillTable(ctx, source, conn, tx, t); err != nil {
			return fmt.Errorf("fill the table %s: %w", t.name, err)
		}
	}
	return tx.Commit()
}

// fillTable copies a table. Conn is the connection of tx.
func (c Config) fillTable(ctx context.Context, source *db.DB, conn *sql.Conn, tx *sql.Tx, t table) error {
	rows, err := source.Query(ctx, t.selectSQL())
	if err != nil {
		return err
	}
	defer rows.Close()
	var sent sum
	r := t.reader(rows)
	_, err = db.CopyRows(ctx, conn, t.name, t.columns, func() ([]any, error) {
		values, err := r.next()
		if values != nil {
			sent.add(values)
			c.tell(t.name, sent.rows)
		}
		return values, err
	})
	if err != nil {
		return err
	}
	got, err := sumOf(ctx, tx, t)
	if err == nil && got != sent {
		err = fmt.Errorf("%d rows were written and %d read, or not as they were", sent.rows, got.rows)
	}
	c.tellEnd(t.name, sent.rows)
	return err
}

// empty refuses a database that holds more than the migrations bring.
func (c Config) empty(ctx context.Context, tx *sql.Tx, tables []table) error {
	fresh, err := c.brought(ctx, tables)
	if err != nil {
		return err
	}
	for _, t := range tables {
		var rows int64
		query := "SELECT COUNT(*) FROM (SELECT 1 FROM " + quoted([]string{t.name}) + " LIMIT " + strconv.FormatInt(fresh[t.name].rows+1, 10) + ") AS first_rows"
		if err := tx.QueryRowContext(ctx, query).Scan(&rows); err != nil {
			return err
		}
		same := rows == fresh[t.name].rows
		if same && rows > 0 {
			now, err := sumOf(ctx, tx, t)
			if err != nil {
				return err
			}
			same = now == fresh[t.name]
		}
		if !same {
			return fmt.Errorf("the database is not empty, there are rows in %s: restore into an empty one, or say --force to delete everything that is in it", t.name)
		}
	}
	return nil
}

// brought is what the migrations by themselves bring into each table.
func (c Config) brought(ctx context.Context, tables []table) (fresh map[string]sum, err error) {
	folder, err := os.MkdirTemp("", "m3o")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	d, err := db.Open(ctx, db.Config{Path: folder + "/fresh.db"})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := db.Migrate(ctx, d, c.Migrations); err != nil {
		return nil, err
	}
	fresh = map[string]sum{}
	for _, t := range tables {
		if fresh[t.name], err = sumOf(ctx, from{d}, t); err != nil {
			return nil, err
		}
	}
	return fresh, nil
}

const othersSQL = `
	SELECT COUNT(*) FROM pg_stat_activity
	WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> current_setting('application_name')`

const leasesSQL = `SELECT CAST(COALESCE(SUM(until), 0) AS BIGINT) FROM leases`

// Connections of a process that has just ended are seen for a moment still.
const (
	aloneWithin = 5 * time.Second
	alonePoll   = 100 * time.Millisecond
)

// alone refuses a database that somebody else uses: d was opened under a name of its own.
func alone(ctx context.Context, d *db.DB) error {
	for tries := aloneWithin / alonePoll; ; tries-- {
		var others int64
		if err := d.QueryRow(ctx, othersSQL).Scan(&others); err != nil {
			return fmt.Errorf("see who is connected: %w", err)
		}
		if others == 0 {
			return quiet(ctx, d)
		}
		if tries == 0 {
			return fmt.Errorf("the database is in use by %d other connections: stop every m3o that runs on it first", others)
		}
		if err := pause(ctx, alonePoll); err != nil {
			return err
		}
	}
}

// quietFor is longer than a running system leaves all its leases as they are: mails and money are looked after every few
// seconds, each time under a lease.
const quietFor = 12 * time.Second

// quiet is for CockroachDB, which does not tell who is connected to a database: it watches whether somebody leads.
func quiet(ctx context.Context, d *db.DB) error {
	var engine string
	if err := d.QueryRow(ctx, `SELECT version()`).Scan(&engine); err != nil || !strings.Contains(engine, "CockroachDB") {
		return err
	}
	var before, after int64
	if err := d.QueryRow(ctx, leasesSQL).Scan(&before); err != nil {
		return fmt.Errorf("see who leads: %w", err)
	}
	if err := pause(ctx, quietFor); err != nil {
		return err
	}
	if err := d.QueryRow(ctx, leasesSQL).Scan(&after); err != nil {
		return fmt.Errorf("see who leads: %w", err)
	}
	if before != after {
		return errors.New("a system runs on the database: stop every m3o that runs on it first")
	}
	return nil
}

// pause waits, or answers why ctx ended before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
