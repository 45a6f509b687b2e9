package outbox

import (
	"context"
	"fmt"

	"m3o/internal/bus"
	"m3o/internal/db"
)

const onceSQL = `INSERT INTO inbox (event_id, grp, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`

const insertSQL = `
	INSERT INTO outbox (id, event_id, seq, source, topic, type, type_name, key, part, only_group, data, created_at)
	VALUES ($1, $2, (
		SELECT CASE WHEN MAX(seq) >= $3 THEN MAX(seq) + 1 ELSE $3 END
		FROM outbox WHERE topic = $5 AND key = $8 AND published_at IS NULL
	), $4, $5, $6, $7, $8, $9, $10, $11, $12)`

// insert writes an unpublished row; seq is its number unless its key is ahead.
func insert(ctx context.Context, tx *db.Tx, rowID string, seq int64, e bus.Event) error {
	_, err := tx.Exec(ctx, insertSQL, rowID, e.ID, seq, e.Source, e.Topic, int64(e.Type), e.TypeName, e.Key,
		int64(e.Partition()), e.Group, e.Data, db.Micro(e.Time))
	return err
}

// row is an unpublished event.
type row struct {
	id    string
	part  int64
	event bus.Event
}

// unpublished reads at most limit rows of source in order, but none of the parts.
func unpublished(ctx context.Context, q db.Querier, source string, without []int64, limit int) ([]row, error) {
	args := []any{source, limit}
	for _, part := range without {
		args = append(args, part)
	}
	query := `SELECT id, part, event_id, source, topic, type, type_name, key, only_group, data, created_at
		FROM outbox WHERE source = $1 AND published_at IS NULL`
	if len(without) > 0 {
		query += ` AND part NOT IN (` + db.In(3, len(without)) + `)`
	}
	rows, err := q.Query(ctx, query+` ORDER BY seq, id LIMIT $2`, args...)
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
	args := []any{at}
	for _, rowID := range ids {
		args = append(args, rowID)
	}
	_, err := tx.Exec(ctx, `UPDATE outbox SET published_at = $1 WHERE id IN (`+db.In(2, len(ids))+`)`, args...)
	if err != nil {
		return fmt.Errorf("mark %d events published: %w", len(ids), err)
	}
	return nil
}
