package gateway

import (
	"context"
	"time"

	"m3o/internal/auth"
	"m3o/internal/money"
)

// How slices are leased.
const (
	maxRefills     = 1000 // times one call may find its slice used up by others
	refillLimit    = 5 * time.Second
	renewBefore    = 5 * time.Second // a lease is not used in its last seconds
	quotaSlice     = 1000            // units of an allowance at a time
	emptyFor       = time.Second     // how long nothing left is believed: another gateway may give some back
	sliceCalls     = 100             // a slice of a balance pays for at least so many calls
	idleAfter      = 10 * time.Second
	recallPatience = 2 * time.Second
)

// refillAllowance leases a slice of a monthly allowance. Callers that meet share
// one request.
func (s *Service) refillAllowance(ctx context.Context, c *customer, name string, most int64) error {
	_, err, _ := s.refills.Do(c.id+" "+name, func() (any, error) {
		ctx, cancel := s.refillContext(ctx)
		defer cancel()
		lease, err := s.usage.LeaseQuota(ctx, c.id, name, most, min(quotaSlice, most))
		if err != nil {
			return nil, err
		}
		a := &allowance{lease: lease.ID, left: lease.Granted, expires: lease.Expires}
		if lease.Granted == 0 {
			a.lease, a.expires = "", s.now().Add(emptyFor)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.allowances == nil {
			c.allowances = map[string]*allowance{}
		}
		c.allowances[name] = a
		return nil, nil
	})
	return err
}

// refillMoney leases a slice of the balance that lets price be paid, or learns
// that the balance does not suffice. Callers that meet share one request.
func (s *Service) refillMoney(ctx context.Context, c *customer, price money.Micros) error {
	_, err, _ := s.refills.Do(c.id, func() (any, error) {
		ctx, cancel := s.refillContext(ctx)
		defer cancel()
		c.mu.Lock()
		lease, left := c.wallet.lease, c.wallet.left
		c.mu.Unlock()
		need := max(price-left, 0)
		want := max(money.Micros(s.LeaseSlice()), sliceCalls*price, need)
		granted, err := s.balance.Lease(ctx, c.id, lease, s.holder, need, want)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		w := &c.wallet
		if granted.ID != lease { // a new lease: the old one, if any, has ended elsewhere
			*w = wallet{lease: granted.ID}
		}
		w.left += granted.Granted
		w.expires = granted.Expires.Add(-renewBefore)
		w.short = 0
		if granted.Granted == 0 && need > 0 {
			w.short = need
		}
		return nil, nil
	})
	return err
}

// refillContext is for work that several calls wait for: it does not end with the
// call that began it.
func (s *Service) refillContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(auth.AsService(context.WithoutCancel(ctx), Host), refillLimit)
}

// giveBack ends the lease of a customer, when no call in flight is paid from it:
// what was charged on it is recorded first. It reports false when calls are in flight.
func (s *Service) giveBack(ctx context.Context, c *customer) (bool, error) {
	c.mu.Lock()
	lease := c.wallet.lease
	if lease != "" && c.wallet.holds > 0 {
		c.mu.Unlock()
		return false, nil
	}
	c.wallet = wallet{}
	c.mu.Unlock()
	if lease == "" {
		return true, nil
	}
	if err := s.recorder.flush(ctx); err != nil {
		return true, err // balance closes it when it expires
	}
	return true, s.balance.CloseLease(ctx, lease)
}

// giveBackAllowances gives back what is unused of a customer's allowances.
func (s *Service) giveBackAllowances(ctx context.Context, c *customer) error {
	c.mu.Lock()
	var leases []string
	for _, a := range c.allowances {
		if a.lease != "" {
			leases = append(leases, a.lease)
		}
	}
	c.allowances = nil
	c.mu.Unlock()
	if len(leases) == 0 {
		return nil
	}
	if err := s.recorder.flush(ctx); err != nil {
		return err
	}
	return s.usage.ReturnQuota(ctx, leases)
}

// Tidy gives back the leases of customers that have not called for a while, and
// forgets those that have gone quiet. It is a ticker of every replica.
func (s *Service) Tidy(ctx context.Context) error {
	var first error
	idle := s.now().Add(-idleAfter)
	s.customers.each(func(c *customer) {
		c.mu.Lock()
		quiet := c.used.Before(idle) && (c.wallet.lease != "" || len(c.allowances) > 0)
		c.mu.Unlock()
		if !quiet {
			return
		}
		if _, err := s.giveBack(ctx, c); err != nil && first == nil {
			first = err
		}
		if err := s.giveBackAllowances(ctx, c); err != nil && first == nil {
			first = err
		}
	})
	return first
}
