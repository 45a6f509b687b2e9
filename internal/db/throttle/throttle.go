// Package throttle owns allowances that must hold whoever counts, such as how often a password may be guessed: they are
// rows, so that processes share them and a restart forgets none. What need not be that exact is better counted in
// memory.
//
// Services import it; it imports db and fault.
package throttle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"m3o/internal/db"
	"m3o/internal/fault"
)

// Allowance lets something be done count times at once and then once every window/count (the generic cell rate
// algorithm). Its id, which begins with the service's name, is stored as a hash, so that addresses of strangers are not
// kept.
type Allowance struct {
	ID     string
	Window time.Duration
	Count  int
}

func (a Allowance) step() time.Duration { return a.Window / time.Duration(a.Count) }

func (a Allowance) key() string {
	sum := sha256.Sum256([]byte(a.ID))
	return hex.EncodeToString(sum[:])
}

const (
	holdSQL = `
		INSERT INTO throttles (id, used_up) VALUES ($1, 0)
		ON CONFLICT (id) DO UPDATE SET used_up = throttles.used_up RETURNING used_up`
	takeSQL = `UPDATE throttles SET used_up = $2 WHERE id = $1`
)

// Take uses one of the allowance, or answers fault.Limited; either is undone with the transaction. It writes the row
// before it looks at the clock: of callers who meet, who comes later to the row has the later time, so that each counts
// as one.
func (a Allowance) Take(ctx context.Context, tx *db.Tx, clock func() time.Time) error {
	key := a.key()
	var usedUp int64
	if err := tx.QueryRow(ctx, holdSQL, key).Scan(&usedUp); err != nil {
		return fmt.Errorf("hold a throttle: %w", err)
	}
	now, until := clock(), db.Time(usedUp)
	if until.Before(now) {
		until = now
	}
	until = until.Add(a.step())
	if wait := until.Sub(now) - a.Window; wait > 0 {
		return Limited(max(wait, time.Second))
	}
	if _, err := tx.Exec(ctx, takeSQL, key, db.Micro(until)); err != nil {
		return fmt.Errorf("use a throttle: %w", err)
	}
	return nil
}

// Limited is the answer to who has used an allowance up.
func Limited(wait time.Duration) error {
	return fault.New(fault.Limited, "Too Many Requests").After(wait)
}

const giveSQL = `UPDATE throttles SET used_up = used_up - $2 WHERE id = $1`

// Give takes one use back.
func (a Allowance) Give(ctx context.Context, tx *db.Tx) error {
	if _, err := tx.Exec(ctx, giveSQL, a.key(), a.step().Microseconds()); err != nil {
		return fmt.Errorf("give a throttle back: %w", err)
	}
	return nil
}

const forgetSQL = `DELETE FROM throttles WHERE id = $1`

// Forget restores the whole allowance.
func (a Allowance) Forget(ctx context.Context, tx *db.Tx) error {
	if _, err := tx.Exec(ctx, forgetSQL, a.key()); err != nil {
		return fmt.Errorf("forget a throttle: %w", err)
	}
	return nil
}

// Allowances are used together, always in the same order, lest two callers wait for each other.
type Allowances []Allowance

// Take uses one of each, or answers fault.Limited and uses none. It commits by itself.
func (all Allowances) Take(ctx context.Context, d *db.DB, clock func() time.Time) error {
	return d.Tx(ctx, func(tx *db.Tx) error {
		return all.each(func(a Allowance) error { return a.Take(ctx, tx, clock) })
	})
}

// Give takes one use of each back. It commits by itself.
func (all Allowances) Give(ctx context.Context, d *db.DB) error {
	return d.Tx(ctx, func(tx *db.Tx) error {
		return all.each(func(a Allowance) error { return a.Give(ctx, tx) })
	})
}

// Forget restores each.
func (all Allowances) Forget(ctx context.Context, tx *db.Tx) error {
	return all.each(func(a Allowance) error { return a.Forget(ctx, tx) })
}

func (all Allowances) each(fn func(Allowance) error) error {
	for _, a := range all {
		if err := fn(a); err != nil {
			return err
		}
	}
	return nil
}

const sweepSQL = `DELETE FROM throttles WHERE used_up <= $1`

// Sweep deletes the allowances that are whole again at now, of all services.
func Sweep(ctx context.Context, d *db.DB, now time.Time) error {
	if _, err := d.Exec(ctx, sweepSQL, db.Micro(now)); err != nil {
		return fmt.Errorf("sweep throttles: %w", err)
	}
	return nil
}
