// Package lease owns leadership: of all processes that ask for a name, one holds it for a stated time. Tickers and
// relays use it so that a job runs once in all. A holder that dies is followed when its time is over.
package lease

import (
	"context"
	"fmt"
	"time"

	"m3o/internal/db"
)

// Keeper asks for leases in the name of one holder. It is safe for concurrent use.
type Keeper struct {
	db     *db.DB
	holder string
	now    func() time.Time
}

// New makes a Keeper. The holder is unique to the process; two Keepers with the same holder share their leases.
// The clocks of the processes may differ by less than a lease's time.
func New(d *db.DB, holder string, now func() time.Time) *Keeper {
	return &Keeper{db: d, holder: holder, now: now}
}

const acquireSQL = `
	INSERT INTO leases (name, holder, until) VALUES ($1, $2, $3)
	ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
	WHERE leases.holder = excluded.holder OR leases.until <= $4`

// Acquire takes the lease for ttl from now, or prolongs it when it is one's own; false when another holds it. A true is
// good until ttl has passed: renew before, and stop what it protects when that fails.
func (k *Keeper) Acquire(ctx context.Context, name string, ttl time.Duration) (bool, error) {
	now := k.now()
	res, err := k.db.Exec(db.Relaxed(ctx), acquireSQL, name, k.holder, db.Micro(now.Add(ttl)), db.Micro(now))
	if err != nil {
		return false, fmt.Errorf("acquire lease %s: %w", name, err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

const releaseSQL = `DELETE FROM leases WHERE name = $1 AND holder = $2`

// Release gives the lease back so that another need not wait for its end. One that is not one's own is left alone.
func (k *Keeper) Release(ctx context.Context, name string) error {
	if _, err := k.db.Exec(ctx, releaseSQL, name, k.holder); err != nil {
		return fmt.Errorf("release lease %s: %w", name, err)
	}
	return nil
}
