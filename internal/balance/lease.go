package balance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"m3o/internal/balance/balanceapi"
	"m3o/internal/db"
	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/money"
	"m3o/internal/recall"
)

// How leases live: a gateway renews within the term; one that does not is closed
// some time after it, so that calls which were admitted in time can still be
// recorded.
const (
	leaseTerm  = 30 * time.Second
	leaseGrace = 30 * time.Second
)

// errElsewhere says that others hold some of what is needed.
var errElsewhere = errors.New("other gateways hold a part of the balance")

// overtaken is what a request hears that comes after a later one on its lease.
func overtaken() error {
	return fault.New(fault.Conflict, "a later request on the lease has come first: ask again").WithID("balance.lease.turn")
}

// Lease implements balanceapi.Service. Money of which nobody makes use pays for a call,
// whoever holds it: the others are asked for it before a call is refused.
func (s *Service) Lease(ctx context.Context, r balanceapi.LeaseRequest) (lease balanceapi.Lease, err error) {
	switch {
	case r.LeaseID == "":
		return lease, fault.BadField("leaseID", "must name a lease, open or to be opened")
	case r.Turn <= 0:
		return lease, fault.BadField("turn", "must be above zero")
	case r.Need < 0 || r.Want < r.Need:
		return lease, fault.BadField("want", "must be at least need, and need not below zero")
	}
	asking := s.askings.For(r.CustomerID)
	defer asking.End()
	for {
		err := s.db.Tx(db.Relaxed(ctx), func(tx *db.Tx) (err error) {
			lease, err = s.lease(ctx, tx, r, asking)
			return err
		})
		switch {
		case err == nil:
			return lease, nil
		case !errors.Is(err, errElsewhere):
			return balanceapi.Lease{}, err
		}
		err = asking.Again(ctx, func(ctx context.Context) {
			if err := s.trigger.OnRecall(ctx, r.CustomerID, r.Holder).Err(); err != nil {
				s.log.WarnContext(ctx, "not every gateway has given back what it can", "customer", r.CustomerID, "error", err)
			}
		})
		if err != nil {
			return balanceapi.Lease{}, err
		}
	}
}

// lease grants what there is, errElsewhere if that is too little and others may have it.
// Of what several want, one leaves half to the others.
func (s *Service) lease(ctx context.Context, tx *db.Tx, r balanceapi.LeaseRequest, asking *recall.Asking) (balanceapi.Lease, error) {
	found, err := extend(ctx, tx, r, s.now().Add(leaseTerm))
	if err != nil || found.standing == ended {
		return balanceapi.Lease{}, err
	}
	free, err := lockAvailable(ctx, tx, r.CustomerID)
	if err != nil {
		return balanceapi.Lease{}, err
	}
	others, err := heldByOthers(ctx, tx, r.CustomerID, r.Holder)
	if err != nil {
		return balanceapi.Lease{}, err
	}
	unknown := max(found.amount-r.Granted, 0)
	lease := balanceapi.Lease{ID: r.LeaseID, Granted: unknown, Expires: found.expires, Elsewhere: others > 0}
	if found.standing == repeated {
		return lease, nil
	}
	gone, err := isApplied(ctx, tx, writeOffID(r.CustomerID))
	if err != nil {
		return balanceapi.Lease{}, err
	}
	need, want := max(r.Need-unknown, 0), max(r.Want-unknown, 0)
	var fresh money.Micros
	switch {
	case gone:
	case free >= need && others == 0 && !asking.Shared():
		fresh = min(free, want)
	case free >= need:
		fresh = max(need, min(free-free/2, want))
	case !asking.InVain(int64(others)):
		return balanceapi.Lease{}, errElsewhere
	}
	lease.Granted += fresh
	if fresh == 0 && found.standing == open {
		return lease, nil
	}
	return lease, s.grow(ctx, tx, r, fresh, lease.Expires)
}

// grow adds money to a lease, or opens it, empty if there is none: so the same request will
// be known when it comes again.
func (s *Service) grow(ctx context.Context, tx *db.Tx, r balanceapi.LeaseRequest, amount money.Micros, until time.Time) error {
	result, err := tx.Exec(ctx, growSQL, r.LeaseID, r.CustomerID, r.Holder, int64(amount), db.Micro(until), r.Turn)
	if err != nil {
		return fmt.Errorf("grant lease %s: %w", r.LeaseID, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 { // it has been closed meanwhile, or the name is somebody else's
		return errors.Join(err, overtaken())
	}
	if amount == 0 {
		return nil
	}
	_, err = post(ctx, tx, transfer{
		id: id.New("trf"), kind: kindLease, reference: "Lease " + r.LeaseID, actor: r.Holder, at: s.now(),
		legs: []leg{{r.CustomerID, available, -amount}, {r.CustomerID, leased, amount}},
	})
	return err
}

// leaseRow is a lease as a request finds it.
type leaseRow struct {
	standing standing
	amount   money.Micros // granted in all, and not returned
	expires  time.Time
}

type standing int

const (
	absent   standing = iota // to be opened
	open                     // and renewed
	repeated                 // the same request has been answered
	ended
)

const (
	extendSQL = `
	UPDATE ledger_leases SET expires_at = $4, turn = $5 WHERE id = $1 AND customer_id = $2 AND holder = $3 AND NOT closed AND turn < $5 RETURNING amount`
	findSQL = `SELECT amount, expires_at, turn, closed, customer_id = $2 AND holder = $3 FROM ledger_leases WHERE id = $1`
	growSQL = `
	INSERT INTO ledger_leases (id, customer_id, holder, amount, posted, expires_at, turn, closed) VALUES ($1, $2, $3, $4, 0, $5, $6, FALSE)
	ON CONFLICT (id) DO UPDATE SET amount = ledger_leases.amount + excluded.amount
	WHERE ledger_leases.customer_id = excluded.customer_id AND ledger_leases.holder = excluded.holder AND NOT ledger_leases.closed`
)

// extend finds a lease, renewed when it is open. A request that comes too late is
// overtaken.
func extend(ctx context.Context, tx *db.Tx, r balanceapi.LeaseRequest, until time.Time) (leaseRow, error) {
	var amount, turn int64
	var closed, theirs bool
	expires := db.Micro(until)
	err := tx.QueryRow(ctx, extendSQL, r.LeaseID, r.CustomerID, r.Holder, expires, r.Turn).Scan(&amount)
	if err == nil {
		return leaseRow{open, money.Micros(amount), db.Time(expires)}, nil
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = tx.QueryRow(ctx, findSQL, r.LeaseID, r.CustomerID, r.Holder).Scan(&amount, &expires, &turn, &closed, &theirs)
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return leaseRow{standing: absent, expires: db.Time(expires)}, nil
	case err != nil:
		return leaseRow{}, fmt.Errorf("extend lease %s: %w", r.LeaseID, err)
	case closed:
		return leaseRow{standing: ended}, nil
	case theirs && turn == r.Turn:
		return leaseRow{repeated, money.Micros(amount), db.Time(expires)}, nil
	}
	return leaseRow{}, overtaken()
}

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

const shrinkSQL = `
	UPDATE ledger_leases SET amount = amount - $2, turn = $3
	WHERE id = $1 AND NOT closed AND turn < $3 AND amount - posted > $2 RETURNING customer_id`

// Return implements balanceapi.Service. Of a lease that has ended nothing is left to give
// back, and what came too late has been granted again: neither is an error.
func (s *Service) Return(ctx context.Context, leaseID string, turn int64, amount money.Micros) error {
	if amount <= 0 {
		return fault.BadField("amount", "must be above zero")
	}
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		var customerID string
		err := tx.QueryRow(ctx, shrinkSQL, leaseID, int64(amount), turn).Scan(&customerID)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("shrink lease %s: %w", leaseID, err)
		}
		t := transfer{
			id: id.New("trf"), kind: kindRelease, reference: "Part of lease " + leaseID, actor: balanceapi.Host, at: s.now(),
			legs: []leg{{customerID, leased, -amount}, {customerID, available, amount}},
		}
		if _, err := post(ctx, tx, t); err != nil {
			return err
		}
		return s.repay(ctx, tx, t.id, customerID)
	})
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

const (
	closeSQL = `
	UPDATE ledger_leases SET closed = TRUE WHERE id = $1 AND NOT closed RETURNING customer_id, amount, posted`
	// A request for it that comes yet finds it closed.
	neverSQL = `
	INSERT INTO ledger_leases (id, customer_id, holder, amount, posted, expires_at, turn, closed) VALUES ($1, '', '', 0, 0, 0, 0, TRUE)
	ON CONFLICT (id) DO NOTHING`
)

// close posts what was charged and not posted yet, and releases the rest.
func (s *Service) close(ctx context.Context, tx *db.Tx, leaseID string, charged money.Micros) (customerID string, released money.Micros, err error) {
	var amount, posted int64
	err = tx.QueryRow(ctx, closeSQL, leaseID).Scan(&customerID, &amount, &posted)
	if errors.Is(err, sql.ErrNoRows) {
		_, err = tx.Exec(ctx, neverSQL, leaseID)
	}
	if err != nil {
		return "", 0, fmt.Errorf("close lease %s: %w", leaseID, err)
	}
	if customerID == "" { // closed before, or now before it was opened
		return "", 0, nil
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
