package outbox

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"m3o/internal/bus"
	"m3o/internal/db"
)

const onceSQL = `INSERT INTO inbox (event_id, grp, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`

const insertSQL = `
	INSERT INTO outbox (id, event_id, seq, source, topic, type, type_name, key, part, only_group, data, created_at) VALUES `

// values is how many parameters a row has.
const values = 12

// valuesSQL is a row's, whose parameters follow first. Its seq is the third unless
// its key is ahead.
func valuesSQL(first int) string {
	p := func(n int) string { return "$" + strconv.Itoa(first+n) }
	return `(` + db.In(first+1, 2) + `, (
		SELECT CASE WHEN MAX(seq) >= ` + p(3) + ` THEN MAX(seq) + 1 ELSE ` + p(3) + ` END
		FROM outbox WHERE topic = ` + p(5) + ` AND key = ` + p(8) + ` AND published_at IS NULL
	), ` + db.In(first+4, 9) + `)`
}

// rowsPerStatement: SQLite looks named parameters up one by one, so a long
// statement costs it more than a few short ones; Postgres wants few round trips.
const rowsPerStatement = 8

// insert writes unpublished rows in their order. A row does not see those of its own
// statement, so events of one key are in different ones.
func insert(ctx context.Context, tx *db.Tx, seq int64, rows ...row) error {
	var all []db.Statement
	for len(rows) > 0 {
		n := distinctKeys(rows)
		args := make([]any, 0, values*n)
		for _, r := range rows[:n] {
			e := r.event
			args = append(args, r.id, e.ID, seq, e.Source, e.Topic, int64(e.Type), e.TypeName, e.Key,
				int64(e.Partition()), e.Group, e.Data, db.Micro(e.Time))
		}
		all = append(all, db.Statement{Query: insertText(n), Args: args})
		rows = rows[n:]
	}
	_, err := tx.ExecAll(ctx, all)
	return err
}

// insertText is the statement that inserts n rows.
func insertText(n int) string {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = valuesSQL(values * i)
	}
	return insertSQL + strings.Join(rows, ", ")
}

// distinctKeys is how many of the first rows fit into a statement.
func distinctKeys(rows []row) int {
	for i, r := range rows {
		if i == rowsPerStatement || slices.ContainsFunc(rows[:i], func(before row) bool { return before.event.Key == r.event.Key }) {
			return i
		}
	}
	return len(rows)
}

// row is an unpublished event.
type row struct {
	id    string
	part  int64
	event bus.Event
}

// unpublished reads at most limit rows of source in order, but none of the parts and none of those that are known.
func unpublished(ctx context.Context, q db.Querier, source string, without []int64, known []string, limit int) ([]row, error) {
	query, args := `SELECT id, part, event_id, source, topic, type, type_name, key, only_group, data, created_at
		FROM outbox WHERE source = $1 AND published_at IS NULL`, []any{source}
	if len(without) > 0 {
		query += ` AND part NOT IN (` + db.In(len(args)+1, len(without)) + `)`
		args = append(args, anys(without)...)
	}
	if len(known) > 0 {
		known = db.Fill(known)
		query += ` AND id NOT IN (` + db.In(len(args)+1, len(known)) + `)`
		args = append(args, anys(known)...)
	}
	query += ` ORDER BY seq, id LIMIT ` + db.In(len(args)+1, 1)
	rows, err := q.Query(ctx, query, append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("read the outbox of %s: %w", source, err)
	}
	defer rows.Close()
	var all []row
	for rows.Next() {
		var r row
		var at int64
		e := &r.event
		if err := rows.Scan(&r.id, &r.part, &e.ID, &e.Source, &e.Topic, &e.Type, &e.TypeName, &e.Key, &e.Group, &e.Data, &at); err != nil {
			return nil, fmt.Errorf("read the outbox of %s: %w", source, err)
		}
		e.Time = db.Time(at)
		all = append(all, r)
	}
	return all, rows.Err()
}

// markPublished marks rows, all in one statement.
func markPublished(ctx context.Context, tx *db.Tx, at int64, ids []string) error {
	args := append([]any{at}, anys(db.Fill(ids))...)
	_, err := tx.Exec(ctx, `UPDATE outbox SET published_at = $1 WHERE id IN (`+db.In(2, len(args)-1)+`)`, args...)
	if err != nil {
		return fmt.Errorf("mark %d events published: %w", len(ids), err)
	}
	return nil
}

// anys are values as arguments of a statement.
func anys[T any](values []T) []any {
	args := make([]any, len(values))
	for i, value := range values {
		args[i] = value
	}
	return args
}
