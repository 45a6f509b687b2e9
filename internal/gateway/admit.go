package gateway

import (
	"context"
	"net/http"
	"strings"
	"time"

	"m3o/internal/auth"
	"m3o/internal/billing/billingapi"
	"m3o/internal/fault"
	"m3o/internal/keys/keysapi"
	"m3o/internal/money"
	"m3o/internal/usage/usageapi"
)

// basePrice is what a call of a free endpoint costs after the tier's free calls.
const basePrice money.Micros = 1

// admission is a call that may be served, with what was set aside for it.
type admission struct {
	key      *key
	endpoint *endpoint
	limits   []limit
	price    money.Micros
	lease    string   // pays the price
	quotas   []string // leases of allowances that it uses
	names    []string // of those allowances
	free     bool     // one of the tier's free calls
	at       time.Time
}

// admit checks a call in the order of the contract and sets aside what it costs.
// Every admission must be settled.
func (s *Service) admit(r *http.Request) (*admission, error) {
	ctx, now := r.Context(), s.now()

	text := credential(r)
	if text == "" {
		return nil, errUnauthorized()
	}
	k, err := s.findKey(ctx, text, now)
	if err != nil {
		return nil, err
	}
	s.caller(ctx, k.CustomerID)
	if len(k.Blocked) > 0 {
		return nil, blocked(k.Blocked)
	}
	e := s.catalogue.Load().find(strings.TrimPrefix(r.URL.Path, "/v1/"))
	if e == nil {
		return nil, fault.New(fault.NotFound, "No such API").WithID("v1")
	}
	if !k.allows(e.scope) {
		return nil, refused("Insufficient privileges")
	}
	tier, err := s.tierOf(ctx, k.customer)
	if err != nil {
		return nil, err
	}
	a := &admission{key: k, endpoint: e, at: now}
	var retry time.Duration
	if a.limits, retry = k.customer.admitRate(k, tier.Rate, now); retry > 0 {
		f := fault.New(fault.Limited, "Too Many Requests").WithID("v1.blocked").After(retry)
		return a, f
	}
	if s.recorder.full() {
		return a, unavailable(nil)
	}
	if err := s.allot(ctx, a, tier); err != nil {
		s.settle(a, false)
		return a, err
	}
	return a, nil
}

// allot uses the cap, then whatever pays for the call: the endpoint's free quota,
// the tier's free calls, or the lease.
func (s *Service) allot(ctx context.Context, a *admission, tier *billingapi.Tier) error {
	c, e := a.key.customer, a.endpoint
	if most, capped := tier.Caps[strings.ToLower(e.Name)]; capped {
		if ok, err := s.takeAllowance(ctx, a, usageapi.EndpointCap+e.Name, most); err != nil {
			return err
		} else if !ok {
			return refused("Usage cap exceeded")
		}
	}
	if e.Quota > 0 {
		if ok, err := s.takeAllowance(ctx, a, usageapi.EndpointQuota+e.Name, e.Quota); err != nil || ok {
			return err
		}
	}
	price := e.Price
	if price == 0 {
		ok, err := s.takeAllowance(ctx, a, usageapi.FreeCalls, tier.FreeCalls)
		if a.free = ok; err != nil || ok {
			return err
		}
		price = basePrice
	}
	lease, err := s.takeMoney(ctx, c, price, a.at)
	if err != nil {
		return err
	}
	if lease == "" {
		f := fault.New(fault.PaymentRequired, "Request blocked. Insufficient credit").WithID("v1.blocked")
		return f.With("price", int64(price))
	}
	a.lease, a.price = lease, price
	return nil
}

// settle ends an admission: a served call has spent what was set aside, any other
// gives it back.
func (s *Service) settle(a *admission, served bool) {
	c := a.key.customer
	if a.lease != "" {
		c.settle(a.lease, a.price, served)
	}
	for i, name := range a.names {
		c.settleUnit(name, a.quotas[i], served)
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

// tierOf is the customer's tier, asked for once until it changes.
func (s *Service) tierOf(ctx context.Context, c *customer) (*billingapi.Tier, error) {
	c.mu.Lock()
	tier, epoch := c.tier, c.tierEpoch
	c.mu.Unlock()
	for tier == nil {
		found, err := s.billing.TierOf(auth.AsService(ctx, Host), c.id)
		if err != nil {
			return nil, unavailable(err)
		}
		c.mu.Lock()
		if c.tierEpoch == epoch {
			c.tier = &found
		}
		tier, epoch = c.tier, c.tierEpoch
		c.mu.Unlock()
	}
	return tier, nil
}

// refused is a call that its customer may not make.
func refused(why string) error {
	return fault.New(fault.Forbidden, "Request blocked. %s", why).WithID("v1.blocked")
}

// blocked is the answer to a blocked key: the first reason's message.
func blocked(reasons []keysapi.Block) error { return refused(reasons[0].Message) }

// unavailable is the answer when a check cannot be made: nothing fails open.
func unavailable(cause error) error {
	return fault.Wrap(fault.Unavailable, cause, "The service is not available, try again in a moment").WithID("v1").After(time.Second)
}
