package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"m3o/internal/fault"
	"m3o/internal/limit"
)

// admitRate takes one call from the rates of the tier and of the key, from both or from
// neither: of this gateway alone, or of all that share them. A call that is refused later
// on, for whatever reason, has had its place.
func (s *Service) admitRate(ctx context.Context, a *admission, tierRate int) error {
	v, err := s.takeRate(ctx, a.key, tierRate, a.at)
	if err != nil {
		return err
	}
	a.limits = limits{tier: rateLimit{tierRate, v.Remaining[0]}, key: rateLimit{a.key.most, v.Remaining[1]}}
	if v.Retry > 0 {
		return fault.New(fault.Limited, "Too Many Requests").WithID("v1.blocked").After(v.Retry)
	}
	return nil
}

func (s *Service) takeRate(ctx context.Context, k *key, tierRate int, now time.Time) (limit.Verdict, error) {
	c := k.customer
	if s.limits == nil {
		return c.takeRate(k, tierRate, now), nil
	}
	tier, key := c.claims(k, tierRate, now)
	v, err := s.limits.Take(ctx, now, tier, key)
	if err != nil {
		s.IncrementRateUnchecked(1)
		if errors.Is(err, limit.ErrAway) { // which is logged where it is noticed, and not for each call
			err = nil
		}
		return v, unavailable(err)
	}
	return v, nil
}

// takeRate takes one call from the rates of this gateway alone.
func (c *customer) takeRate(k *key, tierRate int, now time.Time) limit.Verdict {
	at := now.UnixNano()
	c.mu.Lock()
	defer c.mu.Unlock()
	return limit.Admit(at, &c.rate, tierRate, &k.rate, k.most)
}

// claims are a call's claims on the rates that gateways share.
func (c *customer) claims(k *key, tierRate int, now time.Time) (tier, key limit.Claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bucket == nil && tierRate > 0 {
		c.bucket = limit.NewBucket(c.id, "")
	}
	if k.bucket == nil && k.most > 0 {
		k.bucket = limit.NewBucket(c.id, k.id)
	}
	return limit.Claim{Bucket: c.bucket, Rate: tierRate}, limit.Claim{Bucket: k.bucket, Rate: k.most}
}

// returnRate gives a call's place in the rates back, while it still counts.
func (s *Service) returnRate(ctx context.Context, a *admission) {
	k, now := a.key, s.now()
	if now.Sub(a.at) >= limit.Burst {
		return
	}
	c := k.customer
	if s.limits != nil {
		tier, key := c.claims(k, a.limits.tier.rate, now)
		s.limits.Return(ctx, tier, key)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	limit.Return(now.UnixNano(), &c.rate, a.limits.tier.rate, &k.rate, a.limits.key.rate)
}

// keepPace takes over what a key has used of its rate: a change of a key is no new second.
func (k *key) keepPace(before *key) {
	k.customer.mu.Lock()
	defer k.customer.mu.Unlock()
	k.rate, k.bucket = before.rate, before.bucket
}

// OnChangedRateMode holds rates by the new mode.
func (s *Service) OnChangedRateMode(context.Context) error { return s.tuneRates() }

// OnChangedRateWhenAway changes what becomes of calls while Redis is away.
func (s *Service) OnChangedRateWhenAway(context.Context) error { return s.tuneRates() }

// OnChangedRateTimeout changes how long Redis is waited for.
func (s *Service) OnChangedRateTimeout(context.Context) error { return s.tuneRates() }

// tuneRates makes the shared rates follow the configuration.
func (s *Service) tuneRates() error {
	if s.limits != nil {
		s.limits.Use(limit.Mode(s.RateMode()), limit.WhenAway(s.RateWhenAway()), s.RateTimeout())
	}
	return nil
}

// rateLimit is a rate limit in force for a call, for the headers.
type rateLimit struct {
	rate      int // calls a second; 0: there is none
	remaining int
}

// limits are those of the tier and of the key.
type limits struct{ tier, key rateLimit }

// tell says in a header which limits are in force, in the RateLimit-Policy and
// RateLimit fields of the IETF's draft-ietf-httpapi-ratelimit-headers.
func (l limits) tell(h http.Header) {
	if l.tier.rate <= 0 && l.key.rate <= 0 {
		return
	}
	var buffer [96]byte
	policy := l.append(buffer[:0], `";q=`, func(l rateLimit) int { return l.rate }, ";w=1")
	state := l.append(policy, `";r=`, func(l rateLimit) int { return l.remaining }, ";t=1")
	text := string(state)
	values := []string{text[:len(policy)], text[len(policy):]}
	h["Ratelimit-Policy"], h["Ratelimit"] = values[:1:1], values[1:]
}

func (l limits) append(text []byte, before string, number func(rateLimit) int, after string) []byte {
	if l.tier.rate > 0 {
		text = append(append(text, `"tier`...), before...)
		text = append(strconv.AppendInt(text, int64(number(l.tier)), 10), after...)
	}
	if l.tier.rate > 0 && l.key.rate > 0 {
		text = append(text, ", "...)
	}
	if l.key.rate > 0 {
		text = append(append(text, `"key`...), before...)
		text = append(strconv.AppendInt(text, int64(number(l.key)), 10), after...)
	}
	return text
}
