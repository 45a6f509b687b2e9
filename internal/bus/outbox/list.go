package outbox

import (
	"context"
	"fmt"
	"time"

	"m3o/internal/bus"
	"m3o/internal/db"
	"m3o/internal/page"
)

// Record is an event as the outbox has it.
type Record struct {
	ID          string // the event's, but for a replay
	Event       bus.Event
	PublishedAt time.Time // zero: some group has not settled it yet
}

const listColumns = `SELECT id, event_id, source, topic, type, type_name, key, only_group, data, created_at, COALESCE(published_at, 0) FROM outbox `

const (
	listSQL      = listColumns + `WHERE id < $1 ORDER BY id DESC LIMIT $2`
	listTopicSQL = listColumns + `WHERE topic = $3 AND id < $1 ORDER BY id DESC LIMIT $2`
)

// List lists events, the latest first; of one topic unless it is empty. Limit and
// cursor are as in package page; next is empty at the end.
func (o *Outbox) List(ctx context.Context, topic string, limit int, cursor string) (records []Record, next string, err error) {
	limit, before, err := bounds(limit, cursor)
	if err != nil {
		return nil, "", err
	}
	query, args := listSQL, []any{before, limit + 1}
	if topic != "" {
		query, args = listTopicSQL, append(args, topic)
	}
	rows, err := o.db.Query(ctx, query, args...)
	if err != nil {
		return nil, "", fmt.Errorf("list events: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r Record
		var created, published int64
		e := &r.Event
		if err := rows.Scan(&r.ID, &e.ID, &e.Source, &e.Topic, &e.Type, &e.TypeName, &e.Key, &e.Group, &e.Data, &created, &published); err != nil {
			return nil, "", fmt.Errorf("list events: %w", err)
		}
		e.Time, r.PublishedAt = db.Time(created), db.Time(published)
		records = append(records, r)
	}
	if len(records) > limit {
		records = records[:limit]
		last := records[limit-1]
		next = page.Cursor{Time: db.Micro(last.Event.Time), ID: last.ID}.String()
	}
	return records, next, rows.Err()
}

// sweeps delete up to $2 rows that are older than $1.
func sweeps() []string {
	return []string{
		`DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE published_at < $1 ORDER BY published_at LIMIT $2)`,
		`DELETE FROM inbox WHERE (event_id, grp) IN (SELECT event_id, grp FROM inbox WHERE created_at < $1 ORDER BY created_at LIMIT $2)`,
		`DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters WHERE replayed_at < $1 ORDER BY id LIMIT $2)`,
	}
}

// Retain deletes what is older than age: published events, inbox rows and replayed
// dead letters. It works in small transactions and may be run again at any time.
// What is unpublished or dead stays.
func (o *Outbox) Retain(ctx context.Context, age time.Duration) error {
	before := db.Micro(o.now().Add(-age))
	for _, sweep := range sweeps() {
		for n := int64(chunk); n == chunk; {
			result, err := o.db.Exec(ctx, sweep, before, chunk)
			if err != nil {
				return fmt.Errorf("delete old events: %w", err)
			}
			if n, err = result.RowsAffected(); err != nil {
				return fmt.Errorf("delete old events: %w", err)
			}
		}
	}
	return nil
}
