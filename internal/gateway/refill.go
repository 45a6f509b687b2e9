package gateway

import (
	"context"
	"errors"
	"time"

	"m3o/internal/auth"
	"m3o/internal/fault"
	"m3o/internal/money"
	"m3o/internal/usage/usageapi"
)

// How slices are leased.
const (
	maxRefills     = 100 // times one call may find its slice used up by others
	maxRequests    = 10  // for one refill
	refillLimit    = 5 * time.Second
	unusedBefore   = 5 * time.Second       // a lease pays for no new call in its last seconds
	renewBefore    = 15 * time.Second      // leases under calls in flight are renewed in time
	quotaSlice     = 1000                  // units of an allowance at a time
	emptyFor       = time.Second           // how long nothing left is believed: others may give some back
	elsewhereFor   = 50 * time.Millisecond // how long, when other gateways hold some
	sliceCalls     = 100                   // a slice of a balance pays for at least so many calls
	idleAfter      = 10 * time.Second
	forgetAfter    = 10 * time.Minute
	recallPatience = 2 * time.Second
)

// refillAllowance leases a slice of a monthly allowance. Callers that meet share
// one request. Ahead of need it waits its turn behind the slice in use.
func (s *Service) refillAllowance(ctx context.Context, c *customer, name string, most int64, ahead bool) error {
	_, err, _ := s.refills.Do(c.id+" "+name, func() (any, error) {
		ctx, cancel := s.refillContext(ctx)
		defer cancel()
		lease, err := s.leaseQuota(ctx, c, name, most)
		if err != nil {
			return nil, err
		}
		a := &allowance{lease: lease.ID, left: lease.Granted, slice: lease.Granted, expires: lease.Expires}
		if lease.Granted == 0 {
			a.lease = ""
			if until := s.now().Add(belief(lease.Elsewhere)); until.Before(a.expires) { // a new month has its own
				a.expires = until
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.allow(name, a, ahead)
		return nil, nil
	})
	return err
}

// leaseQuota asks for a slice of an allowance, under the same name until there is one.
func (s *Service) leaseQuota(ctx context.Context, c *customer, name string, most int64) (usageapi.QuotaLease, error) {
	lease, err := s.usage.LeaseQuota(ctx, usageapi.QuotaRequest{
		CustomerID: c.id, LeaseID: c.askUnits(name), Holder: s.holder, Name: name, Limit: most, Want: min(quotaSlice, most),
	})
	if err == nil && lease.Granted > 0 {
		c.unitsGranted(name)
	}
	return lease, err
}

// refillMoney leases a slice of the balance that lets price be paid, or learns
// that the balance does not suffice. Callers that meet share one request.
func (s *Service) refillMoney(ctx context.Context, c *customer, price money.Micros) error {
	_, err, _ := s.refills.Do(c.id, func() (any, error) {
		ctx, cancel := s.refillContext(ctx)
		defer cancel()
		return nil, s.leaseMoney(ctx, c, price, max(money.Micros(s.LeaseSlice()), sliceCalls*price))
	})
	return err
}

// leaseMoney asks for more money until the wallet can pay price. It asks again when the
// lease has ended, or when a return has overtaken the request.
func (s *Service) leaseMoney(ctx context.Context, c *customer, price, want money.Micros) error {
	for range maxRequests {
		if err := c.awaitReturn(ctx); err != nil {
			return unavailable(err)
		}
		if err := s.closeLeft(ctx, c); err != nil {
			return err
		}
		c.mu.Lock()
		w, raises := c.purse(), c.raises
		r := w.request()
		r.CustomerID, r.Holder, r.Need = c.id, s.holder, max(price-w.left, 0)
		r.Want = max(want, r.Need)
		c.mu.Unlock()
		granted, err := s.balance.Lease(ctx, r)
		c.mu.Lock()
		if err == nil {
			c.receive(r, granted)
		} else {
			c.unanswered(r)
		}
		c.mu.Unlock()
		switch {
		case fault.Is(err, fault.Conflict), err == nil && granted.ID == "":
			continue
		case err != nil:
			return err
		case granted.Granted < r.Need:
			s.believe(ctx, c, raises, r.Need-granted.Granted, belief(granted.Elsewhere))
		}
		return nil
	}
	return unavailable(nil)
}

// believe remembers for a while that the balance could not add so much, unless it has been
// raised meanwhile.
func (s *Service) believe(ctx context.Context, c *customer, raises uint64, short money.Micros, period time.Duration) {
	balance := s.balanceOf(ctx, c)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.raises == raises {
		w := c.purse()
		w.short, w.shortUntil, w.balance = short, s.now().Add(period), balance
	}
}

// belief is how long it is believed that nothing is left.
func belief(elsewhere bool) time.Duration {
	if elsewhere {
		return elsewhereFor
	}
	return emptyFor
}

// balanceOf is the balance of a customer who cannot pay, for the answer that says so;
// nil when it cannot be told.
func (s *Service) balanceOf(ctx context.Context, c *customer) *money.Micros {
	current, _, err := s.balance.Current(auth.With(ctx, auth.Account{ID: c.id, Type: auth.TypeCustomer}), c.id)
	if err != nil {
		s.log.Warn("a refusal does not say the balance", "error", err)
		return nil
	}
	return &current
}

// inTime leases ahead of need, while calls go on.
func (s *Service) inTime(ctx context.Context, refill func(context.Context) error) {
	ctx = context.WithoutCancel(ctx)
	s.ahead.Go(func() {
		if err := refill(ctx); err != nil {
			s.log.Warn("nothing could be leased ahead of need", "error", err) // who needs it will ask again
		}
	})
}

// refillContext is for work that several calls wait for: it does not end with the
// call that began it.
func (s *Service) refillContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(auth.AsService(context.WithoutCancel(ctx), Host), refillLimit)
}

// giveBack ends the lease of a customer, when no call in flight is paid from it:
// what was charged on it is recorded first. It reports false when calls are in flight.
func (s *Service) giveBack(ctx context.Context, c *customer) (bool, error) {
	if err := s.closeLeft(ctx, c); err != nil {
		return false, err
	}
	w, lease, taken := c.takeWallet()
	if !taken || lease == "" {
		return taken, nil
	}
	defer c.hasLeft()
	if err := s.recorder.flush(ctx); err != nil {
		c.putBack(w)
		return true, err
	}
	err := s.balance.CloseLease(ctx, lease)
	if err != nil {
		c.remain(lease)
	}
	if err != nil && w.lease == "" {
		s.log.Warn("a lease that may have been opened is not closed yet", "lease", lease, "error", err)
		err = nil
	}
	return true, err
}

// closeLeft closes leases of which it is not known whether they have been closed: what is on
// them can be leased again after that.
func (s *Service) closeLeft(ctx context.Context, c *customer) error {
	for lease := c.left(); lease != ""; lease = c.left() {
		if err := s.balance.CloseLease(ctx, lease); err != nil {
			c.remain(lease)
			return err
		}
	}
	return nil
}

// giveBackUnused gives back what no call in flight is paid from, and keeps the lease for
// those that are.
func (s *Service) giveBackUnused(ctx context.Context, c *customer) error {
	lease, turn, unused := c.takeUnused()
	if unused == 0 {
		return nil
	}
	return s.balance.Return(ctx, lease, turn, unused) // what that does not bring back is granted again
}

// giveBackAllowances gives back what is unused of a customer's allowances, except
// for the units of calls in flight.
func (s *Service) giveBackAllowances(ctx context.Context, c *customer) error {
	c.mu.Lock()
	c.retireAll()
	idle := len(c.retired) == 0
	c.mu.Unlock()
	if idle {
		return nil
	}
	return s.keepRetired(ctx, c)
}

// keepRetired tells usage what is still in use of retired allowances: what was in use before
// the record was brought up to date, so that a call which ends meanwhile is counted for sure.
func (s *Service) keepRetired(ctx context.Context, c *customer) error {
	c.mu.Lock()
	keep := map[string]int64{}
	for lease, a := range c.retired {
		keep[lease] = a.holds
	}
	c.mu.Unlock()
	if err := s.recorder.flush(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	for lease, units := range keep {
		if units == 0 {
			delete(c.retired, lease)
		}
	}
	if len(c.retired) == 0 {
		c.retired = nil
	}
	c.mu.Unlock()
	return s.keep(ctx, c, keep)
}

// keep renews leases of allowances as far as they are in use.
func (s *Service) keep(ctx context.Context, c *customer, units map[string]int64) error {
	if len(units) == 0 {
		return nil
	}
	expires, err := s.usage.KeepQuota(ctx, units)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.allowances {
		if units[a.lease] > 0 {
			a.expires = inMonth(a.expires, expires)
		}
	}
	for lease, a := range c.retired {
		if units[lease] > 0 {
			a.expires = expires
		}
	}
	return nil
}

// inMonth is the renewed end of an allowance that can be used for new calls: at the
// latest that of its month, in which its old end lies or which ends with it.
func inMonth(old, renewed time.Time) time.Time {
	in := old.Add(-1).UTC()
	end := time.Date(in.Year(), in.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	if renewed.After(end) {
		return end
	}
	return renewed
}

// Tidy renews the leases under calls in flight, gives back those of customers
// that have not called for a while, and forgets customers that have gone quiet.
// It is a ticker of every replica.
func (s *Service) Tidy(ctx context.Context) error {
	ctx = auth.AsService(ctx, Host)
	now := s.now()
	var faults []error
	s.customers.each(func(c *customer) {
		if err := s.tidy(ctx, c, now); err != nil && len(faults) < 3 {
			faults = append(faults, err)
		}
	})
	s.keyring.sweep()
	return errors.Join(faults...)
}

func (s *Service) tidy(ctx context.Context, c *customer, now time.Time) error {
	c.mu.Lock()
	idle := c.used < now.Add(-idleAfter).UnixNano()
	var lease string
	if c.wallet != nil {
		lease = c.wallet.lease
	}
	renew := lease != "" && c.wallet.holds > 0 && c.wallet.expires.Before(now.Add(renewBefore))
	holding := len(c.allowances) > 0 || len(c.retired) > 0
	units := c.ending(now.Add(renewBefore))
	purse := c.wallet != nil || len(c.unclosed) > 0
	open := c.wallet != nil && c.wallet.name() != "" || len(c.unclosed) > 0 || c.leaving != nil
	gone := !open && !holding && c.used < now.Add(-forgetAfter).UnixNano()
	if gone {
		s.customers.forget(c)
	}
	c.mu.Unlock()
	switch {
	case gone:
		return nil
	case idle && (purse || holding):
		if returned, err := s.giveBack(ctx, c); err != nil || returned && !holding {
			return err
		}
		if err := s.giveBackAllowances(ctx, c); err != nil {
			return err
		}
	case len(units) > 0:
		if err := s.recorder.flush(ctx); err != nil {
			return err
		}
		if err := s.keep(ctx, c, units); err != nil {
			return err
		}
	}
	if renew {
		return s.renewMoney(ctx, c)
	}
	return nil
}

// ending are the units in use of allowances whose lease ends before a time. It is
// called with mu held.
func (c *customer) ending(before time.Time) map[string]int64 {
	if c.allowances == nil && c.retired == nil {
		return nil
	}
	units := map[string]int64{}
	for _, a := range c.allowances {
		if a.holds > 0 && a.expires.Before(before) {
			units[a.lease] = a.holds + a.left
		}
	}
	for lease, a := range c.retired {
		if a.holds > 0 && a.expires.Before(before) {
			units[lease] = a.holds
		}
	}
	return units
}

// renewMoney renews the lease that pays for calls in flight.
func (s *Service) renewMoney(ctx context.Context, c *customer) error {
	_, err, _ := s.refills.Do(c.id, func() (any, error) { return nil, s.leaseMoney(ctx, c, 0, 0) })
	return err
}
