// Package audit owns the trail of what admins did: one row an action, written in the transaction that does it and never
// changed. Services import it; it imports db, auth and id.
package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"m3o/internal/auth"
	"m3o/internal/db"
	"m3o/internal/id"
)

// Entry is one action.
type Entry struct {
	ID      string
	Created time.Time
	Actor   string // who did it: a customer id, or the name of a service of ours
	Action  string // such as "customers.Ban"
	Subject string // what it was done to, such as a customer id
	Request string // the id of the request, empty when there was none
	Detail  map[string]string
}

const addSQL = `
	INSERT INTO audit (id, created_at, actor, action, subject, request_id, detail)
	VALUES ($1, $2, $3, $4, $5, $6, $7)`

// Add writes down, in tx, that the caller of ctx did action to subject. Detail says what a reader may want to know
// later, never a secret; nil is nothing. Without a caller it is fault.Unauthenticated: an action that nobody did cannot
// be an admin's.
func Add(ctx context.Context, tx *db.Tx, now time.Time, action, subject string, detail map[string]string) error {
	actor, err := auth.Caller(ctx)
	if err != nil {
		return err
	}
	if detail == nil {
		detail = map[string]string{}
	}
	text, err := json.Marshal(detail)
	if err != nil {
		return fmt.Errorf("audit %s: %w", action, err)
	}
	_, err = tx.Exec(ctx, addSQL, id.New("aud"), db.Micro(now), actor.ID, action, subject, id.Request(ctx), string(text))
	if err != nil {
		return fmt.Errorf("audit %s: %w", action, err)
	}
	return nil
}

const ofSQL = `
	SELECT id, created_at, actor, action, subject, request_id, detail FROM audit
	WHERE subject = $1 ORDER BY created_at DESC, id DESC LIMIT $2`

// Of is what was done to subject, newest first, at most limit entries.
func Of(ctx context.Context, q db.Querier, subject string, limit int) ([]Entry, error) {
	rows, err := q.Query(ctx, ofSQL, subject, limit)
	if err != nil {
		return nil, fmt.Errorf("read the audit of %s: %w", subject, err)
	}
	defer rows.Close()
	var entries []Entry
	for rows.Next() {
		var e Entry
		var created int64
		var detail string
		if err := rows.Scan(&e.ID, &created, &e.Actor, &e.Action, &e.Subject, &e.Request, &detail); err != nil {
			return nil, fmt.Errorf("read the audit of %s: %w", subject, err)
		}
		if err := json.Unmarshal([]byte(detail), &e.Detail); err != nil {
			return nil, fmt.Errorf("read the audit of %s: %w", subject, err)
		}
		e.Created = db.Time(created)
		entries = append(entries, e)
	}
	return entries, rows.Err()
}
