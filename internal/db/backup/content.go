package backup

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"m3o/internal/db"
)

// kind is what a column holds; the portable subset has four.
type kind byte

const (
	integer kind = 'i'
	boolean kind = 'b'
	text    kind = 't'
	octets  kind = 'o'
)

// kinds are the types of the portable subset as SQLite declares them.
var kinds = map[string]kind{"BIGINT": integer, "BOOLEAN": boolean, "TEXT": text, "BYTEA": octets}

// table is a table of the schema.
type table struct {
	name    string
	columns []string
	kinds   []kind
	parents []string // those that its rows refer to
}

// notSaved are the tables whose rows belong to the moment, not to the data.
var notSaved = []string{"leases"}

const tablesSQL = `
	SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
	AND name NOT LIKE 'migrations\_%' ESCAPE '\' AND name NOT LIKE 'backup\_%' ESCAPE '\' ORDER BY name`

// tablesOf are the tables of an SQLite database, those that others refer to before the others.
func tablesOf(ctx context.Context, d *db.DB) (all []table, err error) {
	names, err := column[string](ctx, d, tablesSQL)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if slices.Contains(notSaved, name) {
			continue
		}
		t, err := describe(ctx, d, name)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", name, err)
		}
		all = append(all, t)
	}
	return parentsFirst(all), nil
}

func describe(ctx context.Context, d *db.DB, name string) (t table, err error) {
	t.name = name
	if t.columns, err = column[string](ctx, d, `SELECT name FROM pragma_table_info($1) ORDER BY cid`, name); err != nil {
		return t, err
	}
	types, err := column[string](ctx, d, `SELECT type FROM pragma_table_info($1) ORDER BY cid`, name)
	if err != nil {
		return t, err
	}
	for i, declared := range types {
		k, known := kinds[strings.ToUpper(declared)]
		if !known {
			return t, fmt.Errorf("the column %s has the type %s, which is not in the portable subset", t.columns[i], declared)
		}
		t.kinds = append(t.kinds, k)
	}
	t.parents, err = column[string](ctx, d, `SELECT "table" FROM pragma_foreign_key_list($1)`, name)
	return t, err
}

// parentsFirst keeps the order of the names where references leave a choice.
func parentsFirst(all []table) (sorted []table) {
	placed := map[string]bool{}
	for len(sorted) < len(all) {
		before := len(sorted)
		for _, t := range all {
			waits := slices.ContainsFunc(t.parents, func(parent string) bool { return parent != t.name && !placed[parent] })
			if !placed[t.name] && !waits {
				placed[t.name] = true
				sorted = append(sorted, t)
			}
		}
		if len(sorted) == before { // a circle of references: the names decide
			return all
		}
	}
	return sorted
}

// column are the rows of a query for one column.
func column[T any](ctx context.Context, q db.Querier, query string, args ...any) (all []T, err error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// quoted is a list of names as SQL has it.
func quoted(names []string) string { return `"` + strings.Join(names, `", "`) + `"` }

// selectSQL reads each column, and after octets whether they are there: the driver of SQLite makes nothing of those
// that are empty.
func (t table) selectSQL() string {
	columns := make([]string, len(t.columns))
	for i, name := range t.columns {
		columns[i] = quoted([]string{name})
		if t.kinds[i] == octets {
			columns[i] += ", " + columns[i] + " IS NOT NULL"
		}
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + quoted([]string{t.name})
}

// insertSQL writes a row into SQLite. Octets come as text, since the driver makes nothing of those that are empty.
func (t table) insertSQL() string {
	values := make([]string, len(t.columns))
	for i, k := range t.kinds {
		values[i] = "$" + strconv.Itoa(i+1)
		if k == octets {
			values[i] = "CAST(" + values[i] + " AS BLOB)"
		}
	}
	return "INSERT INTO " + quoted([]string{t.name}) + " (" + quoted(t.columns) + ") VALUES (" + strings.Join(values, ", ") + ")"
}

// forSQLite are the values of a row as insertSQL takes them.
func forSQLite(values []any) []any {
	values = slices.Clone(values)
	for i, value := range values {
		if bytes, ok := value.([]byte); ok {
			values[i] = string(bytes)
		}
	}
	return values
}

// reader reads the rows of a table as both engines write them: int64, bool, string, []byte, nil.
type reader struct {
	rows   *sql.Rows
	places []any        // where a row is scanned to
	take   []func() any // each column's value, out of its place
	values []any
}

func (t table) reader(rows *sql.Rows) *reader {
	r := &reader{rows: rows, values: make([]any, len(t.kinds))}
	for _, k := range t.kinds {
		places, take := placeOf(k)
		r.places, r.take = append(r.places, places...), append(r.take, take)
	}
	return r
}

// placeOf is where a column is scanned to.
func placeOf(k kind) (places []any, take func() any) {
	if k == octets {
		var bytes []byte
		var there bool
		return []any{&bytes, &there}, func() any {
			if !there {
				return nil
			}
			return append([]byte{}, bytes...)
		}
	}
	var place interface {
		sql.Scanner
		driver.Valuer
	}
	switch k {
	case integer:
		place = new(sql.NullInt64)
	case boolean:
		place = new(sql.NullBool)
	default:
		place = new(sql.NullString)
	}
	return []any{place}, func() any {
		value, _ := place.Value() // these have no error to tell
		return value
	}
}

// next is the next row, nil after the last. It is good until the next one.
func (r *reader) next() ([]any, error) {
	if !r.rows.Next() {
		return nil, r.rows.Err()
	}
	if err := r.rows.Scan(r.places...); err != nil {
		return nil, err
	}
	for i, take := range r.take {
		r.values[i] = take()
	}
	return r.values, nil
}

// chunk are the next n rows, fewer at the end.
func (r *reader) chunk(n int) (rows [][]any, err error) {
	for len(rows) < n {
		values, err := r.next()
		if err != nil || values == nil {
			return rows, err
		}
		rows = append(rows, slices.Clone(values))
	}
	return rows, nil
}

// sum is what rows add up to, in whatever order: their number and the sum of their SHA-256s, taken as four numbers
// each. Engines sort texts differently, so an order would be none.
type sum struct {
	rows  int64
	words [4]uint64
}

func (s *sum) add(values []any) {
	hash := sha256.Sum256(encode(values))
	s.rows++
	for i := range s.words {
		s.words[i] += binary.LittleEndian.Uint64(hash[8*i:])
	}
}

// digest is the sum of the hashes in hexadecimal.
func (s *sum) digest() string {
	bytes := make([]byte, 0, sha256.Size)
	for _, word := range s.words {
		bytes = binary.LittleEndian.AppendUint64(bytes, word)
	}
	return hex.EncodeToString(bytes)
}

// encode writes a row so that no two rows are written alike.
func encode(values []any) (b []byte) {
	for _, value := range values {
		switch v := value.(type) {
		case nil:
			b = append(b, 'n')
		case int64:
			b = binary.LittleEndian.AppendUint64(append(b, byte(integer)), uint64(v))
		case bool:
			b = append(b, byte(boolean), 0)
			if v {
				b[len(b)-1] = 1
			}
		case string:
			b = append(binary.LittleEndian.AppendUint64(append(b, byte(text)), uint64(len(v))), v...)
		case []byte:
			b = append(binary.LittleEndian.AppendUint64(append(b, byte(octets)), uint64(len(v))), v...)
		}
	}
	return b
}

// queries is what a reading transaction and a connection have in common.
type queries interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// from makes queries of a database.
type from struct{ db.Querier }

// QueryContext reads.
func (f from) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return f.Query(ctx, query, args...)
}

// sumOf reads a table through and adds it up.
func sumOf(ctx context.Context, q queries, t table) (total sum, err error) {
	rows, err := q.QueryContext(ctx, t.selectSQL())
	if err != nil {
		return total, fmt.Errorf("read the table %s: %w", t.name, err)
	}
	defer rows.Close()
	for r := t.reader(rows); ; {
		values, err := r.next()
		if err != nil {
			return total, fmt.Errorf("read the table %s: %w", t.name, err)
		}
		if values == nil {
			return total, nil
		}
		total.add(values)
	}
}
