package gateway

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"sync"
	"time"

	"m3o/internal/auth"
	"m3o/internal/billing/billingapi"
	"m3o/internal/fault"
	"m3o/internal/money"
	"m3o/internal/usage/usageapi"
)

// basePrice is what a call of a free endpoint costs after the tier's free calls.
const basePrice money.Micros = 1

// admission is a call that may be served, with what was set aside for it.
type admission struct {
	key      *key
	endpoint *endpoint
	values   []string // of the parameters in its path, escaped
	limits   limits
	held     money.Micros // the most it can cost
	lease    string       // pays for it
	quotas   []string     // leases of allowances that it uses
	names    []string     // of those allowances
	free     bool         // one of the tier's free calls
	opens    bool         // opens a WebSocket: a call without a request, which is not checked
	bounded  bool         // its body is
	at       time.Time

	quotaRoom, nameRoom [2]string // for quotas and names
}

// admit checks a call in the order of the contract and sets aside what it costs. A
// request is held to its endpoint's checks after the rates, so that looking at
// requests is limited too, and before anything is set aside. Every admission that
// succeeds must be settled or given up. When it fails, limits may be known already.
func (s *Service) admit(w http.ResponseWriter, r *http.Request, a *admission) error {
	ctx := r.Context()
	a.at = s.now()
	text := credential(r)
	if text == "" {
		return errUnauthorized()
	}
	k, err := s.findKey(ctx, text, a.at)
	if err != nil {
		return err
	}
	s.caller(ctx, k.customer.id)
	if k.blocked != nil {
		return refused(k.blocked.Message)
	}
	found := s.catalogue.Load().find(r)
	if found.endpoint == nil {
		return notFound(w, found.allow)
	}
	a.key, a.endpoint, a.values = k, found.endpoint, found.values
	if !k.allows(a.endpoint.scope) {
		return refused("Insufficient privileges")
	}
	tier, err := s.tierOf(ctx, k.customer, a.at)
	switch {
	case errors.Is(err, errForgotten):
		return s.admit(w, r, a)
	case err != nil:
		return err
	}
	if err := s.admitRate(ctx, a, tier.Rate); err != nil {
		return err
	}
	if a.endpoint.broken || s.recorder.full() {
		return unavailable(nil)
	}
	if a.endpoint.checks != nil && !a.opens {
		if err := s.check(w, r, a); err != nil {
			return err
		}
		a.at = s.now() // the body may have taken its time, and leases end
	}
	if err := s.allot(ctx, a, tier); err != nil {
		s.giveUp(a)
		return err
	}
	return nil
}

// notFound is the answer at a place where nothing is, or where other methods are.
func notFound(w http.ResponseWriter, allow string) error {
	if allow == "" {
		return fault.New(fault.NotFound, "No such API").WithID("v1")
	}
	w.Header()["Allow"] = []string{allow}
	return fault.New(fault.BadMethod, "This endpoint is called by %s", allow).WithID("v1")
}

// allot uses the cap, then whatever pays for the call: the endpoint's free quota,
// the tier's free calls, or the lease.
func (s *Service) allot(ctx context.Context, a *admission, tier *billingapi.Tier) error {
	e := a.endpoint
	a.quotas, a.names = a.quotaRoom[:0], a.nameRoom[:0]
	if most, capped := tier.Caps[e.capped]; capped {
		if ok, err := s.takeAllowance(ctx, a, e.capName, most); err != nil {
			return err
		} else if !ok {
			return refused("Usage cap exceeded")
		}
	}
	if e.Quota > 0 {
		if ok, err := s.takeAllowance(ctx, a, e.quotaName, e.Quota); err != nil || ok {
			return err
		}
	}
	price := e.hold
	if e.Price == 0 {
		ok, err := s.takeAllowance(ctx, a, usageapi.FreeCalls, tier.FreeCalls)
		if a.free = ok; err != nil || ok {
			return err
		}
		price = basePrice
	}
	return s.takePrice(ctx, a, price)
}

// takePrice sets aside what the call may cost, or says that it cannot be paid.
func (s *Service) takePrice(ctx context.Context, a *admission, price money.Micros) error {
	c := a.key.customer
	lease, err := s.takeMoney(ctx, c, price, a.at)
	if err != nil {
		return err
	}
	if lease == "" {
		f := fault.New(fault.PaymentRequired, "Request blocked. Insufficient credit").WithID("v1.blocked")
		if balance := c.balance(); balance != nil {
			f = f.With("balance", int64(*balance))
		}
		return f.With("price", int64(price)).With("topup", cmp.Or(s.TopUpURL(), topUpPage))
	}
	a.lease, a.held = lease, price
	return nil
}

// topUpPage is where the house lets customers add money.
const topUpPage = "/billing"

// settle ends the admission of a served call: it has used what was set aside, and of
// the money so much.
func (s *Service) settle(a *admission, spent money.Micros) {
	c := a.key.customer
	if a.lease != "" {
		c.settle(a.lease, a.held, spent)
	}
	for i, name := range a.names {
		c.settleUnit(name, a.quotas[i], true)
	}
}

// giveUp ends the admission of a call that is not served: all of what was set aside
// can be used again.
func (s *Service) giveUp(a *admission) {
	c := a.key.customer
	if a.lease != "" {
		c.settle(a.lease, a.held, 0)
	}
	for i, name := range a.names {
		c.settleUnit(name, a.quotas[i], false)
	}
}

// takeAllowance uses one unit of a monthly allowance, leasing more when the
// gateway's part is used up; false when nothing is left of it this month.
func (s *Service) takeAllowance(ctx context.Context, a *admission, name string, most int64) (bool, error) {
	if most <= 0 {
		return false, nil
	}
	c := a.key.customer
	for range maxRefills {
		lease, known, low := c.take(name, a.at)
		if low {
			s.inTime(ctx, func(ctx context.Context) error { return s.refillAllowance(ctx, c, name, most, true) })
		}
		if lease != "" {
			a.quotas, a.names = append(a.quotas, lease), append(a.names, name)
			return true, nil
		}
		if known {
			return false, nil
		}
		if err := s.refillAllowance(ctx, c, name, most, false); err != nil {
			return false, unavailable(err)
		}
		a.at = s.now() // what was leased may be of a month that has just begun, and so is the call then
	}
	return false, unavailable(nil)
}

// takeMoney sets a price aside, leasing more of the balance when the gateway's
// part does not suffice; empty when the balance does not either.
func (s *Service) takeMoney(ctx context.Context, c *customer, price money.Micros, now time.Time) (string, error) {
	for range maxRefills {
		lease, known, low := c.hold(price, now)
		if low {
			s.inTime(ctx, func(ctx context.Context) error { return s.refillMoney(ctx, c, 0) })
		}
		if known {
			return lease, nil
		}
		if err := s.refillMoney(ctx, c, price); err != nil {
			return "", unavailable(err)
		}
	}
	return "", unavailable(nil)
}

// errForgotten says that a customer was forgotten just before its call, which would leave
// what it leases with nobody. Its keys are unknown now, and read again.
var errForgotten = errors.New("the customer is forgotten")

// tierOf is the customer's tier, asked for once until it changes. From here on the customer
// is not forgotten for a while.
func (s *Service) tierOf(ctx context.Context, c *customer, now time.Time) (*billingapi.Tier, error) {
	c.mu.Lock()
	tier, epoch, gone := c.tier, c.tierEpoch, c.gone
	c.used = now.UnixNano()
	c.mu.Unlock()
	if gone {
		return nil, errForgotten
	}
	for tier == nil {
		found, err := s.billing.TierOf(auth.AsService(ctx, Host), c.id)
		if err != nil {
			return nil, unavailable(err)
		}
		shared := s.tiers.share(found)
		c.mu.Lock()
		if c.tierEpoch == epoch {
			c.tier = shared
		}
		tier, epoch = c.tier, c.tierEpoch
		c.mu.Unlock()
	}
	return tier, nil
}

// tiers are the tiers that customers have, each held once.
type tiers struct {
	mu   sync.Mutex
	byID map[string]*billingapi.Tier
}

// share is the tier that is held in place of one like it.
func (t *tiers) share(tier billingapi.Tier) *billingapi.Tier {
	t.mu.Lock()
	defer t.mu.Unlock()
	held := t.byID[tier.ID]
	if held != nil && held.Price == tier.Price && held.FreeCalls == tier.FreeCalls && held.Rate == tier.Rate && maps.Equal(held.Caps, tier.Caps) {
		return held
	}
	if t.byID == nil {
		t.byID = map[string]*billingapi.Tier{}
	}
	t.byID[tier.ID] = &tier
	return &tier
}

// refused is a call that its customer may not make.
func refused(why string) error {
	return fault.New(fault.Forbidden, "Request blocked. %s", why).WithID("v1.blocked")
}

// unavailable is the answer when a check cannot be made: nothing fails open.
func unavailable(cause error) error {
	return fault.Wrap(fault.Unavailable, cause, "The service is not available, try again in a moment").WithID("v1").After(time.Second)
}
