package gateway

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"m3o/internal/auth"
	"m3o/internal/billing/billingapi"
	"m3o/internal/customers/customersapi"
	"m3o/internal/keys/keysapi"
	"m3o/internal/publicapi/publicapiapi"
)

// revalidation keeps what the gateway remembers true where events may be lost, since
// other processes make the changes. It asks again and again what has changed, and
// forgets that. While it gets no answer, what is remembered is believed no longer than
// the configuration's CutOff: then calls are refused with 503.
//
// In a single process every event arrives before the change is answered, and there is
// nothing to ask.
type revalidation struct {
	every   time.Duration             // 0: never
	checked atomic.Pointer[time.Time] // all that is remembered was true then; nil: it always is
	number  int64                     // of the last change that is known; the loop's own
	failing bool                      // the loop's own
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// checkLimit is how long one answer may take.
const checkLimit = time.Second

// stale says that what is remembered may not be true any more.
func (s *Service) stale(now time.Time) bool {
	checked := s.valid.checked.Load()
	return checked != nil && now.Sub(*checked) > s.CutOff()
}

// startChecks notes the number of the last change, before anything is remembered, and
// asks for later ones until stopChecks.
func (s *Service) startChecks(ctx context.Context) error {
	v := &s.valid
	if v.every <= 0 {
		return nil
	}
	now := s.now()
	_, number, err := s.keys.Changes(ctx, -1)
	if err != nil {
		return fmt.Errorf("ask for the last change: %w", err)
	}
	v.number = number
	v.checked.Store(&now)
	ctx, v.stop = context.WithCancel(context.WithoutCancel(ctx))
	v.done.Go(func() { s.checkAgain(ctx) })
	return nil
}

func (s *Service) stopChecks() {
	if s.valid.stop != nil {
		s.valid.stop()
	}
	s.valid.done.Wait()
}

func (s *Service) checkAgain(ctx context.Context) {
	v := &s.valid
	beat := time.NewTicker(v.every)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
		err := s.checkOnce(ctx)
		switch {
		case err == nil && v.failing:
			s.log.InfoContext(ctx, "the gateway knows again what has changed")
		case err != nil && !v.failing && ctx.Err() == nil:
			s.log.WarnContext(ctx, "the gateway cannot ask what has changed; unless that ends it refuses calls", "after", s.CutOff(), "error", err)
		}
		v.failing = err != nil
	}
}

// checkOnce asks once what has changed, and forgets it.
func (s *Service) checkOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	v := &s.valid
	for {
		asked := s.now()
		changes, number, err := s.keys.Changes(ctx, v.number)
		if err != nil {
			return err
		}
		for _, c := range changes {
			if err := s.forget(ctx, c); err != nil {
				return err
			}
		}
		v.number = number
		if len(changes) == 0 {
			v.checked.Store(&asked)
			return nil
		}
	}
}

// forget forgets what has changed.
func (s *Service) forget(ctx context.Context, c keysapi.Change) error {
	switch c.Source {
	case keysapi.Host, customersapi.Host:
		s.forgetKeys(c.Subject)
	case billingapi.Host:
		s.forgetTiers(ctx, c.Subject)
	case publicapiapi.Host:
		return s.readCatalogue(ctx)
	case "":
		return s.forgetEverything(ctx)
	}
	return nil
}

// forgetTiers forgets the tier of a customer, or of all. What was leased under it need not
// come back at once.
func (s *Service) forgetTiers(ctx context.Context, customerID string) {
	if err := s.OnTierChanged(ctx, customerID); err != nil {
		s.log.WarnContext(ctx, "allowances of a former tier were not given back, and end by themselves", "error", err)
	}
}

func (s *Service) forgetEverything(ctx context.Context) error {
	s.customers.each(func(c *customer) { s.forgetKeys(c.id) })
	s.forgetTiers(ctx, "")
	return s.readCatalogue(auth.AsService(ctx, Host))
}
