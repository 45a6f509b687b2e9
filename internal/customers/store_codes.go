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

// sweeps delete what has ended by $1, Unix microseconds.
func sweeps() []string {
	return []string{
		`DELETE FROM customers_codes WHERE expires <= $1`,
		`DELETE FROM customers_sessions WHERE refresh_expires <= $1`,
		`DELETE FROM customers_spent WHERE expires <= $1`,
	}
}
