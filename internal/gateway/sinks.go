package gateway

import (
	"context"
	"errors"
	"time"

	"m3o/internal/auth"
)

// OnKeysChanged forgets the keys of a customer.
func (s *Service) OnKeysChanged(_ context.Context, customerID string) error {
	s.forgetKeys(customerID)
	return nil
}

// OnCustomerChanged forgets the keys of a customer, whose status they carry.
func (s *Service) OnCustomerChanged(_ context.Context, customerID string) error {
	s.forgetKeys(customerID)
	return nil
}

// OnTierChanged forgets the tier of a customer, or of all, and what was leased under it.
func (s *Service) OnTierChanged(ctx context.Context, customerID string) error {
	if customerID != "" {
		return s.forgetTier(ctx, s.customers.get(customerID)) // made if need be: its tier may be on its way right now
	}
	var failed []error
	s.customers.each(func(c *customer) { failed = append(failed, s.forgetTier(ctx, c)) })
	return errors.Join(failed...)
}

func (s *Service) forgetTier(ctx context.Context, c *customer) error {
	c.mu.Lock()
	c.tier, c.tierEpoch = nil, c.tierEpoch+1
	c.mu.Unlock()
	return s.giveBackAllowances(ctx, c)
}

// OnCatalogueChanged takes a new snapshot of the catalogue.
func (s *Service) OnCatalogueChanged(ctx context.Context) error {
	return s.readCatalogue(ctx)
}

// OnFlush records the calls that wait in the journal.
func (s *Service) OnFlush(ctx context.Context, _ string) error {
	return s.recorder.flush(ctx)
}

// OnBalanceRaised forgets that a customer could not pay.
func (s *Service) OnBalanceRaised(_ context.Context, customerID string) error {
	if c := s.customers.peek(customerID); c != nil {
		c.mu.Lock()
		c.raises++
		if c.wallet != nil {
			c.wallet.short = 0
		}
		c.mu.Unlock()
	}
	return nil
}

// OnRecall gives back the lease of a customer. For another gateway, the holder, that is
// what no call in flight is paid from; without a holder it is all, after those calls.
func (s *Service) OnRecall(ctx context.Context, customerID, holder string) error {
	c := s.customers.peek(customerID)
	switch {
	case c == nil || holder == s.holder:
		return nil
	case holder != "":
		if ok, err := s.giveBack(ctx, c); ok || err != nil {
			return err
		}
		return s.giveBackUnused(ctx, c)
	}
	ctx, cancel := context.WithTimeout(ctx, recallPatience)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		if ok, err := s.giveBack(ctx, c); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil // still in use: the caller finds that out by itself
		case <-poll.C:
		}
	}
}

// OnQuotaRecall gives back what is not in use of a customer's allowance, for another
// gateway.
func (s *Service) OnQuotaRecall(ctx context.Context, customerID, name, holder string) error {
	c := s.customers.peek(customerID)
	if c == nil || holder == s.holder || !c.retireNamed(name) {
		return nil
	}
	return s.keepRetired(auth.AsService(ctx, Host), c)
}
