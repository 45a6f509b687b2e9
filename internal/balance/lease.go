package balance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"m3o/internal/balance/balanceapi"
	"m3o/internal/db"
	"m3o/internal/db/idempotency"
	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/money"
)

// How leases live: a gateway renews within the term; one that does not is closed
// some time after it, so that calls which were admitted in time can still be
// recorded.
const (
	leaseTerm  = 30 * time.Second
	leaseGrace = 30 * time.Second
)

// How often other holders are asked for what one lacks, and how long is waited after the
// first time, then four times as long each: what they give back may be taken by another
// before it gets there, and what they were just granted may still be on its way to them.
const (
	maxRecalls  = 4
	recallPause = 2 * time.Millisecond
)

// errElsewhere says that others hold some of what is needed.
var errElsewhere = errors.New("other gateways hold a part of the balance")

// Lease implements balanceapi.Service. A lease whose answer gets lost is closed
// when it expires, so nothing is lost with it. Money of which nobody makes use pays for
// a call, whoever holds it: the others are asked for it before a call is refused.
func (s *Service) Lease(ctx context.Context, customerID, leaseID, holder string, need, want money.Micros) (balanceapi.Lease, error) {
	if need < 0 || want < need {
		return balanceapi.Lease{}, fault.BadField("want", "must be at least need, and need not below zero")
	}
	for recalls, pause := 0, recallPause; ; recalls, pause = recalls+1, 4*pause {
		out, err := idempotency.Tx(db.Relaxed(ctx), s.db, func(tx *db.Tx) (balanceapi.LeaseOut, error) {
			lease, err := s.lease(ctx, tx, wish{customerID, leaseID, holder, need, want, recalls})
			return balanceapi.LeaseOut{Lease: lease}, err
		})
		if !errors.Is(err, errElsewhere) {
			return out.Lease, err
		}
		if err := s.trigger.OnRecall(ctx, customerID, holder).Err(); err != nil {
			s.log.WarnContext(ctx, "not every gateway has given back what it can", "customer", customerID, "error", err)
		}
		if recalls == 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return balanceapi.Lease{}, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// wish is what a gateway wants to be leased.
type wish struct {
	customerID string
	leaseID    string // to be extended
	holder     string
	need, want money.Micros
	recalls    int // how often others have been asked to give back
}

// lease grants what there is, errElsewhere if that is too little and others may have it.
// Of what several want, one leaves half to the others.
func (s *Service) lease(ctx context.Context, tx *db.Tx, w wish) (balanceapi.Lease, error) {
	customerID, leaseID := w.customerID, w.leaseID
	now := s.now()
	lease := balanceapi.Lease{ID: leaseID, Expires: now.Add(leaseTerm)}
	open, err := extend(ctx, tx, leaseID, customerID, lease.Expires)
	if err != nil {
		return balanceapi.Lease{}, err
	}
	free, err := lockAvailable(ctx, tx, customerID)
	if err != nil {
		return balanceapi.Lease{}, err
	}
	gone, err := isApplied(ctx, tx, writeOffID(customerID))
	if err != nil {
		return balanceapi.Lease{}, err
	}
	others, err := heldByOthers(ctx, tx, customerID, w.holder)
	lease.Elsewhere = others > 0
	switch {
	case err != nil:
		return balanceapi.Lease{}, err
	case gone:
	case free >= w.need && others == 0 && w.recalls == 0:
		lease.Granted = min(free, w.want)
	case free >= w.need:
		lease.Granted = max(w.need, min(free-free/2, w.want))
	case others > 0 && w.recalls < maxRecalls:
		return balanceapi.Lease{}, errElsewhere
	}
	if !open {
		if lease.Granted == 0 {
			return balanceapi.Lease{Elsewhere: lease.Elsewhere}, nil
		}
		lease.ID = id.New("lse")
	}
	if lease.Granted == 0 {
		return lease, nil
	}
	if err := grow(ctx, tx, lease, customerID, w.holder, open); err != nil {
		return balanceapi.Lease{}, err
	}
	_, err = post(ctx, tx, transfer{
		id: id.New("trf"), kind: kindLease, reference: "Lease " + lease.ID, actor: w.holder, at: now,
		legs: []leg{{customerID, available, -lease.Granted}, {customerID, leased, lease.Granted}},
	})
	return lease, err
}

const (
	extendSQL = `UPDATE ledger_leases SET expires_at = $3 WHERE id = $1 AND customer_id = $2 AND NOT closed`
	growSQL   = `UPDATE ledger_leases SET amount = amount + $2 WHERE id = $1`
	openSQL   = `
	INSERT INTO ledger_leases (id, customer_id, holder, amount, posted, expires_at, closed) VALUES ($1, $2, $3, $4, 0, $5, FALSE)`
)

const heldByOthersSQL = `
	SELECT CAST(COALESCE(SUM(amount - posted), 0) AS BIGINT) FROM ledger_leases WHERE customer_id = $1 AND NOT closed AND holder <> $2`

// heldByOthers is what other holders have not spent of a customer's money, as far as that
// is known here.
func heldByOthers(ctx context.Context, tx *db.Tx, customerID, holder string) (money.Micros, error) {
	var held int64
	if err := tx.QueryRow(ctx, heldByOthersSQL, customerID, holder).Scan(&held); err != nil {
		return 0, fmt.Errorf("add up what others hold of %s: %w", customerID, err)
	}
	return money.Micros(held), nil
}

// extend renews an open lease; false when there is none of that id.
func extend(ctx context.Context, tx *db.Tx, leaseID, customerID string, until time.Time) (bool, error) {
	if leaseID == "" {
		return false, nil
	}
	result, err := tx.Exec(ctx, extendSQL, leaseID, customerID, db.Micro(until))
	if err != nil {
		return false, fmt.Errorf("extend lease %s: %w", leaseID, err)
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

// grow adds what was granted to an open lease, or opens it.
func grow(ctx context.Context, tx *db.Tx, lease balanceapi.Lease, customerID, holder string, open bool) (err error) {
	if open {
		_, err = tx.Exec(ctx, growSQL, lease.ID, int64(lease.Granted))
	} else {
		_, err = tx.Exec(ctx, openSQL, lease.ID, customerID, holder, int64(lease.Granted), db.Micro(lease.Expires))
	}
	if err != nil {
		return fmt.Errorf("grant lease %s: %w", lease.ID, err)
	}
	return nil
}

const shrinkSQL = `
	UPDATE ledger_leases SET amount = amount - $2 WHERE id = $1 AND NOT closed AND amount - posted > $2 RETURNING customer_id`

// Return implements balanceapi.Service. Of a lease that has ended nothing is left to give
// back, which is no error.
func (s *Service) Return(ctx context.Context, leaseID string, amount money.Micros) error {
	if amount <= 0 {
		return fault.BadField("amount", "must be above zero")
	}
	_, err := idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out balanceapi.ReturnOut, err error) {
		var customerID string
		err = tx.QueryRow(ctx, shrinkSQL, leaseID, int64(amount)).Scan(&customerID)
		if errors.Is(err, sql.ErrNoRows) {
			return out, nil
		}
		if err != nil {
			return out, fmt.Errorf("shrink lease %s: %w", leaseID, err)
		}
		t := transfer{
			id: id.New("trf"), kind: kindRelease, reference: "Part of lease " + leaseID, actor: balanceapi.Host, at: s.now(),
			legs: []leg{{customerID, leased, -amount}, {customerID, available, amount}},
		}
		if _, err := post(ctx, tx, t); err != nil {
			return out, err
		}
		return out, s.repay(ctx, tx, t.id, customerID)
	})
	return err
}

// CloseLease implements balanceapi.Service. Closing again changes nothing.
func (s *Service) CloseLease(ctx context.Context, leaseID string) error {
	charged, err := s.usage.CloseLease(ctx, leaseID) // the fence: from here on nothing is added to it
	if err != nil {
		return err
	}
	var customerID string
	var released money.Micros
	err = s.db.Batch(ctx, func(tx *db.Tx) (err error) {
		customerID, released, err = s.close(ctx, tx, leaseID, money.Micros(charged))
		return err
	})
	if err != nil || released == 0 {
		return err
	}
	return s.raised(ctx, customerID)
}

const closeSQL = `
	UPDATE ledger_leases SET closed = TRUE WHERE id = $1 AND NOT closed RETURNING customer_id, amount, posted`

// close posts what was charged and not posted yet, and releases the rest.
func (s *Service) close(ctx context.Context, tx *db.Tx, leaseID string, charged money.Micros) (customerID string, released money.Micros, err error) {
	var amount, posted int64
	err = tx.QueryRow(ctx, closeSQL, leaseID).Scan(&customerID, &amount, &posted)
	if errors.Is(err, sql.ErrNoRows) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("close lease %s: %w", leaseID, err)
	}
	paid := min(charged, money.Micros(amount))
	due := max(paid-money.Micros(posted), 0)
	released = money.Micros(amount-posted) - due
	if due+released > 0 {
		_, err = post(ctx, tx, transfer{
			id: "close:" + leaseID, kind: kindRelease, reference: "End of lease " + leaseID, actor: balanceapi.Host, at: s.now(),
			legs: []leg{{customerID, leased, -due - released}, {house, revenue, due}, {customerID, available, released}},
		})
	}
	if err == nil && charged > paid { // a gateway spent more than it held: the customer was served, so it pays
		err = s.chargeLate(ctx, tx, "over:"+leaseID, customerID, charged-paid)
	}
	if err == nil {
		err = s.repay(ctx, tx, leaseID, customerID)
	}
	if err == nil {
		err = s.settled(ctx, tx, customerID, due)
	}
	return customerID, released, err
}

const postedSQL = `
	UPDATE ledger_leases SET posted = posted + $2 WHERE id = $1 AND NOT closed AND posted + $2 <= amount`

// charge posts what a batch of calls was charged on a lease. A lease that has
// been closed was settled then; calls that never had one are charged late.
func (s *Service) charge(ctx context.Context, tx *db.Tx, transferID, customerID, leaseID string, amount money.Micros) error {
	if amount == 0 {
		return nil
	}
	if leaseID == "" {
		return s.chargeLate(ctx, tx, transferID, customerID, amount)
	}
	result, err := tx.Exec(ctx, postedSQL, leaseID, int64(amount))
	if err != nil {
		return fmt.Errorf("post on lease %s: %w", leaseID, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err // closed, or more than it holds: closing settles both
	}
	_, err = post(ctx, tx, transfer{
		id: transferID, kind: kindCharge, reference: "Calls on lease " + leaseID, actor: balanceapi.Host, at: s.now(),
		legs: []leg{{customerID, leased, -amount}, {house, revenue, amount}},
	})
	if err != nil {
		return err
	}
	return s.settled(ctx, tx, customerID, amount)
}

// chargeLate takes what served calls cost from what is available; what that does
// not cover the customer owes.
func (s *Service) chargeLate(ctx context.Context, tx *db.Tx, transferID, customerID string, amount money.Micros) error {
	free, err := lockAvailable(ctx, tx, customerID)
	if err != nil {
		return err
	}
	paid := min(free, amount)
	owes := leg{customerID, receivable, paid - amount}
	if gone, err := isApplied(ctx, tx, writeOffID(customerID)); err != nil {
		return err
	} else if gone {
		owes.owner, owes.account = house, breakage
	}
	_, err = post(ctx, tx, transfer{
		id: transferID, kind: kindCharge, reference: "Calls recorded late", actor: balanceapi.Host, at: s.now(),
		legs: []leg{{customerID, available, -paid}, owes, {house, revenue, amount}},
	})
	if err != nil {
		return err
	}
	return s.settled(ctx, tx, customerID, amount)
}

const heldBySQL = `SELECT id FROM ledger_leases WHERE NOT closed AND holder = $1 ORDER BY id`

// CloseLeases implements balanceapi.Service.
func (s *Service) CloseLeases(ctx context.Context, holder string) error {
	leases, err := listIDs(ctx, s.db, heldBySQL, holder)
	if err != nil {
		return fmt.Errorf("list the leases of %s: %w", holder, err)
	}
	return s.closeAll(ctx, leases)
}

const expiredSQL = `SELECT id FROM ledger_leases WHERE NOT closed AND expires_at < $1 ORDER BY expires_at LIMIT 1000`

// CloseExpired closes leases that no gateway has renewed. It is a ticker.
func (s *Service) CloseExpired(ctx context.Context) error {
	leases, err := listIDs(ctx, s.db, expiredSQL, db.Micro(s.now().Add(-leaseGrace)))
	if err != nil {
		return fmt.Errorf("list expired leases: %w", err)
	}
	return s.closeAll(ctx, leases)
}

// closeAll closes leases, whatever becomes of the others.
func (s *Service) closeAll(ctx context.Context, leases []string) error {
	var faults []error
	for _, leaseID := range leases {
		if err := s.CloseLease(ctx, leaseID); err != nil {
			faults = append(faults, fmt.Errorf("close lease %s: %w", leaseID, err))
		}
	}
	return errors.Join(faults...)
}
