package gateway

import (
	"context"
	"time"
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

// OnTierChanged forgets the tier of a customer, and what was leased under it.
func (s *Service) OnTierChanged(ctx context.Context, customerID string) error {
	c := s.customers.peek(customerID)
	if c == nil {
		c = s.customers.get(customerID) // a tier may be on its way right now
	}
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
		c.wallet.short = 0
		c.mu.Unlock()
	}
	return nil
}

// OnRecall gives back the lease of a customer, after the calls in flight.
func (s *Service) OnRecall(ctx context.Context, customerID string) error {
	c := s.customers.peek(customerID)
	if c == nil {
		return nil
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
