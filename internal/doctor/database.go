package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"m3o/internal/db"
)

// oldestPostgres is the oldest version that still gets security updates of its makers.
const oldestPostgres = 140000

// database looks at the database and, if it is one of m3o, at the books in it.
func (e *examination) database(ctx context.Context) {
	const part = "database"
	c := db.Config{URL: e.DB, Name: "m3o doctor"}
	if e.DB == "" {
		c.Path = filepath.Join(e.Data, "m3o.db")
		if _, err := os.Stat(c.Path); errors.Is(err, os.ErrNotExist) {
			e.noDatabase(c.Path)
			return
		}
	}
	d, err := db.Open(ctx, c)
	if err != nil {
		e.fail(part, "look whether it runs, whether this machine reaches it, and whether user and password are right", "%s", oneLine(err))
		return
	}
	defer func() { _ = d.Close() }() // it was only read
	if d.Dialect() == db.Postgres {
		e.postgres(ctx, d)
	} else {
		e.sqlite(ctx, d)
	}
	if e.schema(ctx, d) {
		e.books(ctx, d)
	}
}

// noDatabase is right before the first start, and for gateways, which keep nothing in one.
func (e *examination) noDatabase(file string) {
	const part = "database"
	if e.split() {
		e.ok(part, "none is given and there is none at %s: right where only gateways run; else give --db postgres://…", file)
		return
	}
	e.ok(part, "there is none yet at %s; the first start makes it", file)
}

func (e *examination) sqlite(ctx context.Context, d *db.DB) {
	const part = "database"
	if version, err := texts(ctx, d, `SELECT sqlite_version()`); err == nil {
		e.ok(part, "SQLite %s, %s", version[0], filepath.Join(e.Data, "m3o.db"))
	}
	if e.split() {
		e.warn(part, "give every process --db postgres://…, unless all services that keep data run in this process", "an SQLite file is one process's own")
	}
	switch said, err := texts(ctx, d, `PRAGMA quick_check(1)`); {
	case err != nil:
		e.fail(part, "stop m3o and restore the latest backup", "it cannot be checked: %s", oneLine(err))
	case said[0] != "ok":
		e.fail(part, "stop m3o and restore the latest backup", "it is damaged: %s", said[0])
	default:
		e.ok(part, "its pages and indexes are sound")
	}
}

func (e *examination) postgres(ctx context.Context, d *db.DB) {
	const part = "database"
	asked := e.Now()
	var version, number, encoding, commits string
	var micros int64
	err := d.QueryRow(ctx, `
		SELECT version(), current_setting('server_version_num'), current_setting('server_encoding'), current_setting('synchronous_commit'),
		CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`).Scan(&version, &number, &encoding, &commits, &micros)
	if err != nil {
		e.fail(part, "look at the server's log", "it does not answer: %s", oneLine(err))
		return
	}
	answered := e.Now()
	short, _, _ := strings.Cut(version, " (")
	if n, err := strconv.Atoi(number); err == nil && n < oldestPostgres && !strings.Contains(version, "CockroachDB") {
		e.warn(part, "move to a version that is maintained; backup and restore go from any to any", "%s gets no security updates any more", short)
	} else {
		e.ok(part, "%s", short)
	}
	if encoding != "UTF8" {
		e.fail(part, "make a database with ENCODING 'UTF8', and restore a backup into it", "its encoding is %s", encoding)
	}
	if commits == "off" {
		e.fail(part, "ALTER DATABASE … SET synchronous_commit = on", "synchronous_commit is off: a credit that was confirmed may be gone after a power failure")
	}
	e.clock(part, time.UnixMicro(micros), asked, answered, 0)
	e.rights(ctx, d)
}

const mayMakeSQL = `SELECT COALESCE(has_schema_privilege(current_user, current_schema(), 'CREATE'), FALSE)`

const mayNotSQL = `
	SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = current_schema() AND c.relkind = 'r' AND NOT (
		has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') AND
		has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))
	ORDER BY c.relname`

// rights looks at what the role may do.
func (e *examination) rights(ctx context.Context, d *db.DB) {
	const part = "database"
	var may bool
	if err := d.QueryRow(ctx, mayMakeSQL).Scan(&may); err != nil {
		e.warn(part, "see that the role owns the database", "what the role may do cannot be seen: %s", oneLine(err))
		return
	}
	if !may {
		e.fail(part, "GRANT CREATE, USAGE ON SCHEMA public TO the role, or let it own the database", "the role may not make tables")
	}
	refused, err := texts(ctx, d, mayNotSQL)
	switch {
	case err != nil:
		e.warn(part, "see that the role owns the tables", "what the role may do cannot be seen: %s", oneLine(err))
	case len(refused) > 0:
		e.fail(part, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO the role", "the role may not read and write %s", few(refused))
	case may:
		e.ok(part, "the role may make, read and write tables")
	}
}

// schema compares the database with the migrations, and says whether its tables are as this program knows them.
func (e *examination) schema(ctx context.Context, d *db.DB) (known bool) {
	const part = "schema"
	schemas, err := db.Schemas(ctx, d, e.Migrations)
	if err != nil {
		e.fail(part, "see that the role may read every table", "%s", oneLine(err))
		return false
	}
	var fresh, behind, ahead []string
	for _, s := range schemas {
		switch {
		case s.Has == 0:
			fresh = append(fresh, s.Folder)
		case s.Has < s.Wants:
			behind = append(behind, s.Folder)
		case s.Has > s.Wants:
			ahead = append(ahead, s.Folder)
		}
	}
	if len(fresh) == len(schemas) {
		e.ok(part, "the database is empty; the first start makes the tables")
		return false
	}
	if len(ahead) > 0 {
		e.fail(part, "start the newer m3o; there is no way back but a backup of before", "the database is newer than this m3o in %s", few(ahead))
		return false
	}
	if behind = append(behind, fresh...); len(behind) > 0 {
		e.warn(part, "run m3o migrate, or start m3o, which does the same", "migrations of %s are to be done", few(behind))
		return false
	}
	return e.shape(ctx, d)
}

// shape compares tables, columns and indexes with those that the migrations make.
func (e *examination) shape(ctx context.Context, d *db.DB) bool {
	const part = "schema"
	want, err := e.wanted(ctx)
	if err != nil {
		e.warn(part, "make room in the folder for temporary files", "it cannot be compared: %s", oneLine(err))
		return false
	}
	got, err := shapeOf(ctx, d)
	if err != nil {
		e.fail(part, "see that the role may read the catalogue", "it cannot be read: %s", oneLine(err))
		return false
	}
	missing := slices.DeleteFunc(want, func(name string) bool { return slices.Contains(got, name) })
	if len(missing) > 0 {
		e.fail(part, "somebody has changed the schema by hand, or a migration after it was applied: restore a backup into an empty database, which makes the schema anew",
			"the database has not what its migrations make: %s", few(missing))
		return false
	}
	e.ok(part, "up to date, with all its tables, columns and indexes")
	return true
}

// wanted is the shape of a database that was just made.
func (e *examination) wanted(ctx context.Context) (shape []string, err error) {
	dir, err := os.MkdirTemp("", "m3o")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	d, err := db.Open(ctx, db.Config{Path: filepath.Join(dir, "m3o.db")})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := db.Migrate(db.Relaxed(ctx), d, e.Migrations); err != nil {
		return nil, err
	}
	return shapeOf(ctx, d)
}

const sqliteShapeSQL = `
	SELECT 'column ' || t.name || '.' || c.name || ' ' || lower(c.type) FROM sqlite_schema t JOIN pragma_table_info(t.name) c
	WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\' AND t.name NOT LIKE 'migrations\_%' ESCAPE '\'
	UNION ALL SELECT 'index ' || name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL`

const postgresShapeSQL = `
	SELECT 'column ' || table_name || '.' || column_name || ' ' || data_type FROM information_schema.columns WHERE table_schema = current_schema()
	UNION ALL SELECT 'index ' || indexname FROM pg_indexes WHERE schemaname = current_schema()`

// shapeOf lists the columns with their types, and the indexes.
func shapeOf(ctx context.Context, d *db.DB) ([]string, error) {
	if d.Dialect() == db.Postgres {
		return texts(ctx, d, postgresShapeSQL)
	}
	return texts(ctx, d, sqliteShapeSQL)
}

// texts are the rows of a query for one column of text.
func texts(ctx context.Context, d *db.DB, query string, args ...any) (all []string, err error) {
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

// few is the beginning of a list.
func few(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + " and " + strconv.Itoa(len(names)-most) + " more"
}
