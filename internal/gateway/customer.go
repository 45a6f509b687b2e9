package gateway

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"m3o/internal/billing/billingapi"
	"m3o/internal/id"
	"m3o/internal/limit"
)

// customer is what the gateway holds of one customer. Its mutex is held for
// moments, never while another service is asked. There are many customers and most
// are quiet, so what only a busy one needs is not in here.
type customer struct {
	id   string
	keys atomic.Uint64 // grows when the customer's keys change

	outbound atomic.Int32 // calls of HTTP APIs in flight

	mu         sync.Mutex
	tier       *billingapi.Tier      // shared by all of a tier; nil: not known
	tierEpoch  uint64                // grows when the tier changes
	rate       limit.Pace            // of this gateway alone
	bucket     *limit.Bucket         // of the rate that gateways share; nil: it has not called
	wallet     *wallet               // nil: none
	leaving    chan struct{}         // closed when the lease of the wallet before has been given back; nil: none is
	unclosed   []string              // leases that were to be closed, and may not be: that was not answered
	raises     uint64                // grows when the balance does
	allowances map[string]*allowance // by name; nil: none
	retired    map[string]*allowance // by lease: no longer used, but by calls in flight; nil: none
	asked      map[string]string     // by name: the lease of an allowance that was asked for and is not known to be there; nil: none
	used       int64                 // the last admission, in Unix nanoseconds
	gone       bool                  // forgotten: its calls are another's, see tierOf
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
type customers struct{ byID shards[string, *customer] }

// init makes ids part by their last characters, which are the random ones.
func (c *customers) init() {
	c.byID.pick = func(id string) (part uint8) {
		for i := range min(len(id), 4) {
			part = part*31 + id[len(id)-1-i]
		}
		return part
	}
}

func (c *customers) get(id string) *customer {
	if found := c.byID.load(id); found != nil {
		return found
	}
	id = strings.Clone(id) // it may be part of something large
	return c.byID.loadOrStore(id, &customer{id: id})
}

// peek is the customer, nil when the gateway does not know it.
func (c *customers) peek(id string) *customer { return c.byID.load(id) }

func (c *customers) each(visit func(*customer)) { c.byID.each(visit) }

// forget forgets a customer. Its keys become unknown after it: a key that is read
// meanwhile either finds a new customer or is unknown again (see readKey), and a call that
// has found it already looks again (see tierOf). It is called with mu held.
func (c *customers) forget(gone *customer) {
	gone.gone = true
	c.byID.remove(gone.id, gone)
	gone.keys.Add(1)
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

// askUnits names the lease of an allowance to ask for.
func (c *customer) askUnits(name string) (lease string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked == nil {
		c.asked = map[string]string{}
	}
	if c.asked[name] == "" {
		c.asked[name] = id.New("qls")
	}
	return c.asked[name]
}

// unitsGranted says that there is the lease that was asked for: the next one is another.
func (c *customer) unitsGranted(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if delete(c.asked, name); len(c.asked) == 0 {
		c.asked = nil
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

// retireNamed retires one allowance; false when there is nothing of it.
func (c *customer) retireNamed(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.allowances[name]
	if a == nil || a.lease == "" {
		return false
	}
	c.retire(a)
	c.retire(a.next)
	delete(c.allowances, name)
	return true
}

// retireAll retires what the customer holds. It is called with mu held.
func (c *customer) retireAll() {
	for _, a := range c.allowances {
		c.retire(a)
		c.retire(a.next)
	}
	c.allowances = nil
}
