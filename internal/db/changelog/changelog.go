// Package changelog owns the log of what others may remember and must not for long, such as keys, bans, tiers and the
// catalogue. Each change has a number, written in the transaction that makes it, so that whoever remembers something can
// ask what has changed since a number, and knows that it has missed nothing. Multicast events tell the same sooner, and
// may be lost.
//
// Services import it; it imports db.
package changelog

import (
	"context"
	"fmt"

	"m3o/internal/db"
)

// Change says that something is not as it was.
type Change struct {
	Source  string // the host of the service that changed it
	Subject string // what was changed, such as a customer's id; empty: everything of the source
}

// Most is how many changes Since tells at a time.
const Most = 1000

const (
	headSQL = `UPDATE changes_head SET number = number + 1 WHERE id = 1 RETURNING number`
	noteSQL = `
		INSERT INTO changes (source, subject, number) VALUES ($1, $2, $3)
		ON CONFLICT (source, subject) DO UPDATE SET number = excluded.number`
)

// Note writes down a change. Changes come one after the other, each waiting for the commit of the one before: call it
// after everything else in the transaction that may wait for another, so that no two wait for each other.
func Note(ctx context.Context, tx *db.Tx, source, subject string) error {
	var number int64
	if err := tx.QueryRow(ctx, headSQL).Scan(&number); err != nil {
		return fmt.Errorf("number a change of %s: %w", source, err)
	}
	if _, err := tx.Exec(ctx, noteSQL, source, subject, number); err != nil {
		return fmt.Errorf("note a change of %s: %w", source, err)
	}
	return nil
}

const latestSQL = `SELECT number FROM changes_head WHERE id = 1`

// Latest is the number of the last change.
func Latest(ctx context.Context, q db.Querier) (number int64, err error) {
	if err := q.QueryRow(ctx, latestSQL).Scan(&number); err != nil {
		return 0, fmt.Errorf("read the number of the last change: %w", err)
	}
	return number, nil
}

const sinceSQL = `SELECT source, subject, number FROM changes WHERE number > $1 ORDER BY number LIMIT $2`

// Since lists what has changed after a number, in order and at most Most, and the number up to which that is all. What
// has changed several times is listed once. The number of a future that never was, as after the restore of a backup, is
// answered with a lower one: then everything may have changed.
func Since(ctx context.Context, q db.Querier, number int64) (list []Change, upTo int64, err error) {
	upTo, err = Latest(ctx, q) // first: what is noted after it is told the next time
	if err != nil || upTo <= number {
		return nil, upTo, err
	}
	rows, err := q.Query(ctx, sinceSQL, number, Most)
	if err != nil {
		return nil, 0, fmt.Errorf("list changes: %w", err)
	}
	defer rows.Close()
	last := number
	for rows.Next() {
		var c Change
		if err := rows.Scan(&c.Source, &c.Subject, &last); err != nil {
			return nil, 0, fmt.Errorf("list changes: %w", err)
		}
		list = append(list, c)
	}
	if len(list) == Most {
		upTo = last
	}
	return list, max(upTo, last), rows.Err()
}
