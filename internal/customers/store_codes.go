package customers

import (
	"context"
	"fmt"
	"time"

	"m3o/internal/db"
)

// What a code is for.
const (
	forVerify  = "verify"
	forRecover = "recover"
)

// code is a code that was mailed.
type code struct {
	digest  string
	tries   int
	expires time.Time
}

const putCodeSQL = `
	INSERT INTO customers_codes (email, purpose, code, tries, expires) VALUES ($1, $2, $3, 0, $4)
	ON CONFLICT (email, purpose) DO UPDATE SET code = excluded.code, tries = 0, expires = excluded.expires`

// putCode makes text the one code of an address and purpose.
func putCode(ctx context.Context, tx *db.Tx, email, purpose, text string, expires time.Time) error {
	_, err := tx.Exec(ctx, putCodeSQL, email, purpose, digest(text), db.Micro(expires))
	if err != nil {
		return fmt.Errorf("store a code: %w", err)
	}
	return nil
}

const codeSQL = `SELECT code, tries, expires FROM customers_codes WHERE email = $1 AND purpose = $2`

func readCode(ctx context.Context, q db.Querier, email, purpose string) (c code, err error) {
	var expires int64
	err = q.QueryRow(ctx, codeSQL, email, purpose).Scan(&c.digest, &c.tries, &expires)
	c.expires = db.Time(expires)
	return c, err
}

const missCodeSQL = `UPDATE customers_codes SET tries = tries + 1 WHERE email = $1 AND purpose = $2 AND code = $3`

// missCode counts a wrong try against a code. It commits by itself: a failing call must not take the count along.
func missCode(ctx context.Context, d *db.DB, email, purpose string, c code) error {
	_, err := d.Exec(ctx, missCodeSQL, email, purpose, c.digest)
	if err != nil {
		return fmt.Errorf("count a wrong code: %w", err)
	}
	return nil
}

const useCodeSQL = `DELETE FROM customers_codes WHERE email = $1 AND purpose = $2 AND code = $3 AND tries < $4 AND expires > $5`

// useCode consumes a code, and says whether it was still good: of two who have it one gets true.
func useCode(ctx context.Context, tx *db.Tx, email, purpose string, c code, tries int, now time.Time) (bool, error) {
	return changes(tx.Exec(ctx, useCodeSQL, email, purpose, c.digest, tries, db.Micro(now)))
}

const touchCodeSQL = `UPDATE customers_codes SET expires = expires WHERE email = $1 AND purpose = $2`

// touchCode writes a code as it is.
func touchCode(ctx context.Context, d *db.DB, email, purpose string) error {
	_, err := d.Exec(ctx, touchCodeSQL, email, purpose)
	return err
}

const dropCodesSQL = `DELETE FROM customers_codes WHERE email = $1`

// dropCodes voids all codes of an address.
func dropCodes(ctx context.Context, tx *db.Tx, email string) error {
	_, err := tx.Exec(ctx, dropCodesSQL, email)
	return err
}

// throttle is an allowance in the store: count at once and then one every window/count. Its id is stored as a hash, so
// that addresses of strangers are not kept.
type throttle struct {
	id     string
	window time.Duration
	count  int
}

func (t throttle) step() time.Duration { return t.window / time.Duration(t.count) }

const (
	holdSQL = `
		INSERT INTO customers_throttles (id, used_up) VALUES ($1, 0)
		ON CONFLICT (id) DO UPDATE SET used_up = customers_throttles.used_up RETURNING used_up`
	takeSQL = `UPDATE customers_throttles SET used_up = $2 WHERE id = $1`
)

// take uses one of the allowance, or answers fault.Limited; either is undone with the transaction. It writes the row
// before it looks at the clock: of callers who meet, who comes later to the row has the later time, so that each counts
// as one.
func (t throttle) take(ctx context.Context, tx *db.Tx, clock func() time.Time) error {
	key := digest(t.id)
	var usedUp int64
	if err := tx.QueryRow(ctx, holdSQL, key).Scan(&usedUp); err != nil {
		return fmt.Errorf("hold a throttle: %w", err)
	}
	now, until := clock(), db.Time(usedUp)
	if until.Before(now) {
		until = now
	}
	until = until.Add(t.step())
	if wait := until.Sub(now) - t.window; wait > 0 {
		return limited(max(wait, time.Second))
	}
	if _, err := tx.Exec(ctx, takeSQL, key, db.Micro(until)); err != nil {
		return fmt.Errorf("use a throttle: %w", err)
	}
	return nil
}

const giveSQL = `UPDATE customers_throttles SET used_up = used_up - $2 WHERE id = $1`

// give takes one use back.
func (t throttle) give(ctx context.Context, tx *db.Tx) error {
	_, err := tx.Exec(ctx, giveSQL, digest(t.id), t.step().Microseconds())
	return err
}

const forgetSQL = `DELETE FROM customers_throttles WHERE id = $1`

// forget restores the whole allowance.
func (t throttle) forget(ctx context.Context, tx *db.Tx) error {
	_, err := tx.Exec(ctx, forgetSQL, digest(t.id))
	return err
}

// throttles are allowances that are used together, always in the same order.
type throttles []throttle

// take uses one of each, or answers fault.Limited and uses none. It commits by itself.
func (all throttles) take(ctx context.Context, d *db.DB, clock func() time.Time) error {
	return d.Tx(ctx, func(tx *db.Tx) error {
		return all.each(func(t throttle) error { return t.take(ctx, tx, clock) })
	})
}

// give takes one use of each back. It commits by itself.
func (all throttles) give(ctx context.Context, d *db.DB) error {
	return d.Tx(ctx, func(tx *db.Tx) error {
		return all.each(func(t throttle) error { return t.give(ctx, tx) })
	})
}

// forget restores each.
func (all throttles) forget(ctx context.Context, tx *db.Tx) error {
	return all.each(func(t throttle) error { return t.forget(ctx, tx) })
}

func (all throttles) each(fn func(throttle) error) error {
	for _, t := range all {
		if err := fn(t); err != nil {
			return err
		}
	}
	return nil
}

// sweeps delete what has ended by $1, Unix microseconds.
func sweeps() []string {
	return []string{
		`DELETE FROM customers_codes WHERE expires <= $1`,
		`DELETE FROM customers_sessions WHERE refresh_expires <= $1`,
		`DELETE FROM customers_spent WHERE expires <= $1`,
		`DELETE FROM customers_throttles WHERE used_up <= $1`,
	}
}
