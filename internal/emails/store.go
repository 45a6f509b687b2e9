package emails

import (
	"context"
	"fmt"
	"math"
	"time"

	"m3o/internal/db"
	"m3o/internal/emails/emailsapi"
	"m3o/internal/page"
)

const insertSQL = `
	INSERT INTO emails (id, recipient, subject, body, created_at, status, tries, next_at)
	VALUES ($1, $2, $3, $4, $5, 'waiting', 0, $5)`

func insert(ctx context.Context, tx *db.Tx, m emailsapi.Email) error {
	if _, err := tx.Exec(ctx, insertSQL, m.ID, m.To, m.Subject, m.Text, db.Micro(m.Created)); err != nil {
		return fmt.Errorf("store a mail: %w", err)
	}
	return nil
}

const listSQL = `
	SELECT id, recipient, subject, body, created_at, status FROM emails
	WHERE (created_at, id) < ($1, $2) ORDER BY created_at DESC, id DESC LIMIT $3`

// list reads up to limit mails before the cursor, newest first.
func list(ctx context.Context, q db.Querier, from page.Cursor, limit int) ([]emailsapi.Email, error) {
	if from == (page.Cursor{}) {
		from.Time = math.MaxInt64
	}
	rows, err := q.Query(ctx, listSQL, from.Time, from.ID, limit)
	if err != nil {
		return nil, fmt.Errorf("list mails: %w", err)
	}
	defer rows.Close()
	mails := []emailsapi.Email{}
	for rows.Next() {
		var m emailsapi.Email
		var created int64
		if err := rows.Scan(&m.ID, &m.To, &m.Subject, &m.Text, &created, &m.Status); err != nil {
			return nil, fmt.Errorf("list mails: %w", err)
		}
		m.Created = db.Time(created)
		mails = append(mails, m)
	}
	return mails, rows.Err()
}

// waiting is a mail that is due.
type waiting struct {
	emailsapi.Email
	tries  int
	nextAt int64 // Unix microseconds
}

const dueSQL = `
	SELECT id, recipient, subject, body, created_at, tries, next_at FROM emails
	WHERE status = 'waiting' AND next_at <= $1 ORDER BY next_at, id LIMIT $2`

// due reads up to limit mails whose time has come, the longest waiting first.
func due(ctx context.Context, q db.Querier, now time.Time, limit int) ([]waiting, error) {
	rows, err := q.Query(ctx, dueSQL, db.Micro(now), limit)
	if err != nil {
		return nil, fmt.Errorf("read due mails: %w", err)
	}
	defer rows.Close()
	var mails []waiting
	for rows.Next() {
		var m waiting
		var created int64
		if err := rows.Scan(&m.ID, &m.To, &m.Subject, &m.Text, &created, &m.tries, &m.nextAt); err != nil {
			return nil, fmt.Errorf("read due mails: %w", err)
		}
		m.Created = db.Time(created)
		mails = append(mails, m)
	}
	return mails, rows.Err()
}

const claimSQL = `
	UPDATE emails SET next_at = $3, tries = tries + 1 WHERE id = $1 AND status = 'waiting' AND next_at = $2`

// claim makes a due mail ours until then, and counts the try; false when somebody else has it.
func claim(ctx context.Context, d *db.DB, m waiting, until time.Time) (bool, error) {
	res, err := d.Exec(ctx, claimSQL, m.ID, m.nextAt, db.Micro(until))
	if err != nil {
		return false, fmt.Errorf("claim mail %s: %w", m.ID, err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

const settleSQL = `UPDATE emails SET status = $2 WHERE id = $1 AND status = 'waiting'`

// settle ends a mail's waiting as sent or failed.
func settle(ctx context.Context, d *db.DB, id, status string) error {
	if _, err := d.Exec(ctx, settleSQL, id, status); err != nil {
		return fmt.Errorf("settle mail %s: %w", id, err)
	}
	return nil
}

const retrySQL = `UPDATE emails SET next_at = $2 WHERE id = $1 AND status = 'waiting'`

// retry has a mail wait until at.
func retry(ctx context.Context, d *db.DB, id string, at time.Time) error {
	if _, err := d.Exec(ctx, retrySQL, id, db.Micro(at)); err != nil {
		return fmt.Errorf("put off mail %s: %w", id, err)
	}
	return nil
}

const sweepSQL = `DELETE FROM emails WHERE created_at < $1`
