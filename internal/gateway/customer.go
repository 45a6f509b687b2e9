package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"m3o/internal/billing/billingapi"
	"m3o/internal/money"
)

// customer is what the gateway holds of one customer. Its mutex is held for
// moments, never while another service is asked.
type customer struct {
	id   string
	keys atomic.Uint64 // grows when the customer's keys change

	mu         sync.Mutex
	tier       *billingapi.Tier // nil: not known
	tierEpoch  uint64           // grows when the tier changes
	rate       gcra
	wallet     wallet
	raises     uint64                // grows when the balance does
	allowances map[string]*allowance // by name
	retired    map[string]*allowance // by lease: no longer used, but by calls in flight
	used       time.Time             // the last admission
}

// wallet is the lease of money that pays for calls.
type wallet struct {
	lease   string
	left    money.Micros // neither held nor spent
	holds   int          // calls in flight that are paid from this lease
	expires time.Time
	slice   money.Micros // the last grant: when half of it is left, more is leased in time
	ahead   time.Time    // no more is leased ahead of need until then

	short      money.Micros // the balance could not add this much; 0: not known
	shortUntil time.Time    // how long that is believed
}

// allowance is the gateway's part of a monthly allowance.
type allowance struct {
	lease   string
	left    int64
	holds   int64      // calls in flight that use a unit of it
	expires time.Time  // of the lease, or of the knowledge that nothing is left
	slice   int64      // the grant: when half of it is left, more is leased in time
	asked   bool       // for next
	next    *allowance // follows this one; nil: none yet
}

// customers are those that the gateway knows.
type customers struct{ byID sync.Map } // id → *customer

func (c *customers) get(id string) *customer {
	if found, ok := c.byID.Load(id); ok {
		return found.(*customer)
	}
	found, _ := c.byID.LoadOrStore(id, &customer{id: id})
	return found.(*customer)
}

// peek is the customer, nil when the gateway does not know it.
func (c *customers) peek(id string) *customer {
	found, ok := c.byID.Load(id)
	if !ok {
		return nil
	}
	return found.(*customer)
}

func (c *customers) each(visit func(*customer)) {
	c.byID.Range(func(_, found any) bool {
		visit(found.(*customer))
		return true
	})
}

// forget forgets a customer. Its keys become unknown after it: a key that is read
// meanwhile either finds a new customer or is unknown again (see readKey).
func (c *customers) forget(gone *customer) {
	c.byID.CompareAndDelete(gone.id, gone)
	gone.keys.Add(1)
}

// admitRate takes one call from the rates of the tier and of the key, from both
// or from neither.
func (c *customer) admitRate(k *key, tierRate int, now time.Time) (limits []limit, retry time.Duration) {
	at := now.UnixNano()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used = now
	tierNext, tierOK := c.rate.arrival, true
	if tierRate > 0 {
		tierNext, tierOK = c.rate.next(at, tierRate)
	}
	keyNext, keyOK := k.rate.arrival, true
	if k.Rate > 0 {
		keyNext, keyOK = k.rate.next(at, k.Rate)
	}
	switch {
	case !tierOK:
		retry = wait(tierNext, at)
	case !keyOK:
		retry = wait(keyNext, at)
	default:
		c.rate.arrival, k.rate.arrival = tierNext, keyNext
	}
	if tierRate > 0 {
		limits = append(limits, limit{"tier", tierRate, c.rate.remaining(at, tierRate)})
	}
	if k.Rate > 0 {
		limits = append(limits, limit{"key", k.Rate, k.rate.remaining(at, k.Rate)})
	}
	return limits, retry
}

// take uses one unit of an allowance, if the gateway holds one. known is false
// when usage must be asked; low is true, once, when it is time to ask for more.
func (c *customer) take(name string, now time.Time) (lease string, known, low bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.allowances[name]
	if a != nil && a.next != nil && (a.left == 0 || !now.Before(a.expires)) {
		c.retire(a)
		a = a.next
		c.allowances[name] = a
	}
	if a == nil || !now.Before(a.expires) {
		return "", false, false
	}
	if a.left == 0 {
		return "", a.lease == "", false // used up here: ask; used up everywhere: known
	}
	a.left--
	a.holds++
	if low = !a.asked && a.left < a.slice/2; low {
		a.asked = true
	}
	return a.lease, true, low
}

// settleUnit ends the use of a unit: a served call has used it up, a failed one
// gives it back.
func (c *customer) settleUnit(name, lease string, served bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.allowances[name]
	if a == nil || a.lease != lease {
		a = c.retired[lease]
	}
	if a == nil {
		return
	}
	a.holds--
	if !served {
		a.left++
	}
}

// allow puts a newly leased allowance in the place of the one before, or behind it
// when it was leased ahead of need. It is called with mu held.
func (c *customer) allow(name string, a *allowance, ahead bool) {
	if c.allowances == nil {
		c.allowances = map[string]*allowance{}
	}
	before := c.allowances[name]
	if ahead && before != nil && before.lease != "" {
		if a.lease != "" && before.next == nil {
			before.next = a
		}
		return
	}
	c.retire(before)
	c.allowances[name] = a
}

// retire keeps an allowance for the calls in flight that use it. It is called
// with mu held.
func (c *customer) retire(a *allowance) {
	if a == nil || a.lease == "" {
		return
	}
	if c.retired == nil {
		c.retired = map[string]*allowance{}
	}
	c.retired[a.lease] = a
}

// retireAll retires what the customer holds. It is called with mu held.
func (c *customer) retireAll() {
	for _, a := range c.allowances {
		c.retire(a)
		c.retire(a.next)
	}
	c.allowances = nil
}

// hold sets a price aside from the lease. known is false when balance must be
// asked; low is true, once in a while, when it is time to ask for more.
func (c *customer) hold(price money.Micros, now time.Time) (lease string, known, low bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &c.wallet
	usable := w.lease != "" && now.Before(w.expires)
	switch {
	case usable && w.left >= price:
		w.left -= price
		w.holds++
		if low = w.left < w.slice/2 && now.After(w.ahead); low {
			w.ahead = now.Add(emptyFor)
		}
		return w.lease, true, low
	case (usable || w.lease == "") && w.short > 0 && now.Before(w.shortUntil) && price-w.left >= w.short:
		return "", true, false
	}
	return "", false, false
}

// pays says whether a lease can still be charged: it has not ended meanwhile, as
// it may when the process was asleep.
func (c *customer) pays(lease string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wallet.lease == lease && now.Before(c.wallet.expires.Add(unusedBefore))
}

// settle ends a hold: a served call has spent it, a failed one gives it back.
func (c *customer) settle(lease string, price money.Micros, served bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wallet.lease != lease { // that lease has ended; its rest went back with it
		return
	}
	c.wallet.holds--
	if !served {
		c.wallet.left += price
	}
}
