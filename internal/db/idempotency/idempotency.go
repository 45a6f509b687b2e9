// Package idempotency owns the answers given under an Idempotency-Key: a mutating call that is sent again gets the
// first answer and is not executed again. Services use Tx in place of db.Tx; rpc puts the Request into the context.
package idempotency

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"m3o/internal/db"
	"m3o/internal/fault"
)

// Kept is how long an answer is stored. An older one counts as absent.
const Kept = 7 * 24 * time.Hour

// Request is one call under an Idempotency-Key.
type Request struct {
	Key         string           // the header's value, never stored; empty: no idempotency
	Scope       string           // whose key it is and for what: caller, service, function
	Fingerprint string           // of the request's content
	Answers     reflect.Type     // the called function's own Out type: calls it makes further down have others
	Replayed    func()           // told when the answer is a stored one; may be nil
	Now         func() time.Time // nil means time.Now
}

type contextKey struct{}

// With has the called function run under r.
func With(ctx context.Context, r Request) context.Context {
	return context.WithValue(ctx, contextKey{}, r)
}

// Of is the Request under which the function that answers Out is called. It is for a function that makes its own work
// repeatable by the key; all others use Tx.
func Of[Out any](ctx context.Context) (Request, bool) {
	r, ok := ctx.Value(contextKey{}).(Request)
	return r, ok && r.Key != "" && r.Answers == reflect.TypeFor[Out]()
}

// Tx is d.Tx with fn's answer, and its contract: fn must be safe to run again. When ctx carries a Request that answers
// Out, the answer is stored in fn's transaction, and a call with the same key and fingerprint gets it back without
// running fn; of two at the same time the second waits for the first. An fn that fails stores nothing, so that the call
// may be sent again. The same key with another fingerprint is fault.Unprocessable. Out must survive JSON.
func Tx[Out any](ctx context.Context, d *db.DB, fn func(tx *db.Tx) (Out, error)) (Out, error) {
	r, under := Of[Out](ctx)
	var out Out
	var replayed bool
	err := d.Tx(ctx, func(tx *db.Tx) (err error) {
		if under {
			out, replayed, err = once(ctx, tx, r, fn)
		} else {
			out, err = fn(tx)
		}
		return err
	})
	if err != nil {
		var none Out
		return none, err
	}
	if replayed && r.Replayed != nil {
		r.Replayed()
	}
	return out, nil
}

const claimSQL = `
	INSERT INTO idempotency (id, fingerprint, created_at) VALUES ($1, $2, $3)
	ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint, answer = NULL, created_at = excluded.created_at
	WHERE idempotency.created_at <= $4`

const answerSQL = `UPDATE idempotency SET answer = $2 WHERE id = $1`

// once claims the key by inserting it, so that a second call waits for the first one's end on the row itself.
func once[Out any](ctx context.Context, tx *db.Tx, r Request, fn func(tx *db.Tx) (Out, error)) (out Out, replayed bool, err error) {
	id, now := r.id(), r.now()
	res, err := tx.Exec(ctx, claimSQL, id, r.Fingerprint, db.Micro(now), db.Micro(now.Add(-Kept)))
	if err != nil {
		return out, false, fmt.Errorf("claim idempotency key: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil {
		return out, false, err
	} else if n == 0 {
		out, err = stored[Out](ctx, tx, r, id)
		return out, true, err
	}
	if out, err = fn(tx); err != nil {
		return out, false, err
	}
	text, err := json.Marshal(out)
	if err != nil {
		return out, false, fmt.Errorf("store idempotent answer: %w", err)
	}
	if _, err := tx.Exec(ctx, answerSQL, id, seal(r.Key, id, text)); err != nil {
		return out, false, fmt.Errorf("store idempotent answer: %w", err)
	}
	return out, false, nil
}

const storedSQL = `SELECT fingerprint, answer FROM idempotency WHERE id = $1`

func stored[Out any](ctx context.Context, tx *db.Tx, r Request, id string) (out Out, err error) {
	var fingerprint string
	var sealed []byte
	if err := tx.QueryRow(ctx, storedSQL, id).Scan(&fingerprint, &sealed); err != nil {
		return out, fmt.Errorf("read idempotent answer: %w", err)
	}
	if fingerprint != r.Fingerprint {
		return out, fault.New(fault.Unprocessable, "the Idempotency-Key was used with another request: send a new key")
	}
	text, err := open(r.Key, id, sealed)
	if err != nil {
		return out, fmt.Errorf("read idempotent answer: %w", err)
	}
	return out, json.Unmarshal(text, &out)
}

func (r Request) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

const sweepSQL = `DELETE FROM idempotency WHERE created_at <= $1`

// Sweep deletes the answers that are older than Kept at now, and says how many.
func Sweep(ctx context.Context, d *db.DB, now time.Time) (int64, error) {
	res, err := d.Exec(ctx, sweepSQL, db.Micro(now.Add(-Kept)))
	if err != nil {
		return 0, fmt.Errorf("sweep idempotent answers: %w", err)
	}
	return res.RowsAffected()
}
