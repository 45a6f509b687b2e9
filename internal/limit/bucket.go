package limit

import (
	"sync"
	"time"
)

// Bucket is one limit as this gateway sees it. Whoever is limited holds it.
type Bucket struct {
	owner, part string // its name in Redis

	mu      sync.Mutex
	left    int64 // leased and not spent
	leasing bool  // more is on its way
	used    int64 // when a call wanted it last, in Unix nanoseconds like all that follow
	refused int64 // nothing is left in Redis until then
	known   int64 // what remained in Redis,
	knownAt int64 // and when
	pace    Pace  // what was admitted without Redis
}

// NewBucket is a limit of an owner; part tells several of one owner apart. Every gateway
// names it alike.
func NewBucket(owner, part string) *Bucket { return &Bucket{owner: owner, part: part} }

// How budgets are leased.
const (
	held        = 100              // the gateways hold this part of a second's worth, at most
	leastRefuse = time.Millisecond // a refusal is believed so long, lest a fast limit asks for each call
)

// share is how many calls at a rate this gateway may hold: 0 when the limit is too small
// to be parted, or the number of gateways is not known.
func (s *Shared) share(rate int) int64 {
	gateways := s.gateways.Load()
	if gateways == 0 {
		return 0
	}
	return int64(rate) / (held * gateways)
}

// spend takes a call from what this gateway holds of the limits. It is not known whether
// it may be when the gateway holds nothing and has not been refused either.
func (s *Shared) spend(now int64, claims pair) (v Verdict, known bool) {
	claims.lock()
	defer claims.unlock()
	known = true
	for _, c := range claims {
		if c.Rate > 0 && c.Bucket.left <= 0 {
			known = false
			if wait := c.Bucket.wait(now); wait > 0 && v.Retry == 0 {
				v.Retry = wait
			}
		}
	}
	for i, c := range claims {
		if c.Rate <= 0 {
			continue
		}
		if known {
			c.Bucket.left--
		}
		if v.Retry == 0 {
			s.top(c, now)
		}
		c.Bucket.used = now
		v.Remaining[i] = c.Bucket.remaining(now, c.Rate)
	}
	return v, known || v.Retry > 0
}

// top leases more for a limit of which a quarter of the share is left, if it is in use.
// It is called with its lock held.
func (s *Shared) top(c Claim, now int64) {
	b, share := c.Bucket, s.share(c.Rate)
	if b.leasing || share == 0 || b.left > share/4 || b.used < now-burst || s.away.Load() {
		return
	}
	b.leasing = s.enqueue(&ask{claims: pair{c}, fewest: 1, most: share - b.left, lease: b})
}

// leased puts what Redis has granted into the budget.
func (b *Bucket) leased(now int64, g grant, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leasing = false
	if err != nil {
		return // whoever needs it asks
	}
	b.left += g.taken
	b.learn(now, g)
}

// learn keeps what Redis has said of the limit. It is called with mu held.
func (b *Bucket) learn(now int64, g grant) {
	b.known, b.knownAt = g.remaining, now
	if g.wait > 0 {
		b.refused = now + max(g.wait, int64(leastRefuse))
	}
}

// wait is how long nothing is left in Redis. A time that no answer can have left behind
// is of a clock that has jumped back.
func (b *Bucket) wait(now int64) time.Duration {
	if wait := b.refused - now; wait <= burst {
		return time.Duration(max(wait, 0))
	}
	return 0
}

// remaining is how many calls would be admitted at once, as far as this gateway knows:
// what it holds, and what Redis had with what has come since.
func (b *Bucket) remaining(now int64, rate int) int {
	since := min(max(now-b.knownAt, 0), burst)
	return int(min(b.left+b.known+since/interval(rate), int64(rate)))
}
