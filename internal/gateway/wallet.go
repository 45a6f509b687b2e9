package gateway

import (
	"cmp"
	"context"
	"time"

	"m3o/internal/balance/balanceapi"
	"m3o/internal/id"
	"m3o/internal/money"
)

// wallet is the lease of money that pays for calls. The gateway names the lease and says
// in each request what it knows of it, so that no answer takes money with it that gets lost.
type wallet struct {
	lease   string       // empty: none is open, as far as is known
	asked   string       // the lease that was to be opened, until that is answered
	asking  bool         // that request is on its way
	turn    int64        // of the last request on either
	granted money.Micros // on the lease in all, less what was returned

	left    money.Micros // neither held nor spent
	holds   int          // calls in flight that are paid from this lease
	expires time.Time
	slice   money.Micros // the last grant: when half of it is left, more is leased in time
	ahead   time.Time    // no more is leased ahead of need until then

	short      money.Micros  // the balance could not add this much; 0: not known
	shortUntil time.Time     // how long that is believed
	balance    *money.Micros // what it was then; nil: not known
}

// purse is the wallet, made if need be. It is called with mu held.
func (c *customer) purse() *wallet {
	if c.wallet == nil {
		c.wallet = &wallet{}
	}
	return c.wallet
}

// name is that of the lease which is open or may be; empty: there is none.
func (w *wallet) name() string { return cmp.Or(w.lease, w.asked) }

// request is the next one for more money: on the open lease, on one whose opening was not
// answered, or on a new one.
func (w *wallet) request() balanceapi.LeaseRequest {
	r := balanceapi.LeaseRequest{LeaseID: w.lease, Granted: w.granted}
	if w.lease == "" {
		if w.asked == "" {
			w.asked, w.turn = id.New("lse"), 0
		}
		r.LeaseID, w.asking = w.asked, true
	}
	w.turn++
	r.Turn = w.turn
	return r
}

// receive puts what balance has granted on a request into the wallet, unless that lease was
// given back meanwhile: then it goes back with it. It is called with mu held.
func (c *customer) receive(r balanceapi.LeaseRequest, granted balanceapi.Lease) {
	w := c.purse()
	switch {
	case r.LeaseID != w.lease && r.LeaseID != w.asked:
		return
	case granted.ID == "": // it has ended
		*w = wallet{}
		return
	case w.lease == "":
		*w = wallet{lease: w.asked, turn: w.turn}
	}
	w.left += granted.Granted
	w.granted += granted.Granted
	if granted.Granted > 0 {
		w.slice = granted.Granted
	}
	w.expires = granted.Expires.Add(-unusedBefore)
	w.short, w.balance = 0, nil
}

// unanswered ends a request without an answer. It is called with mu held.
func (c *customer) unanswered(r balanceapi.LeaseRequest) {
	if c.wallet != nil && c.wallet.asked == r.LeaseID {
		c.wallet.asking = false
	}
}

// takeWallet takes the wallet out, and names the lease that is to be given back with it,
// if any; then hasLeft must follow. It reports false when calls are paid from it, or it is just being opened.
func (c *customer) takeWallet() (w *wallet, lease string, taken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w = c.wallet
	switch {
	case w == nil:
		return nil, "", true
	case w.lease != "" && w.holds > 0, w.asking, c.leaving != nil:
		return nil, "", false
	}
	lease = w.name()
	if c.wallet = nil; lease != "" {
		c.leaving = make(chan struct{})
	}
	return w, lease, true
}

// hasLeft says that the lease of the wallet that was taken has been given back, or not.
func (c *customer) hasLeft() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.leaving)
	c.leaving = nil
}

// remain notes a lease that may not be closed.
func (c *customer) remain(lease string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unclosed = append(c.unclosed, lease)
}

// left takes a lease that may not be closed; empty: there is none.
func (c *customer) left() (lease string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.unclosed); n > 0 {
		lease, c.unclosed = c.unclosed[n-1], c.unclosed[:n-1]
	}
	return lease
}

// awaitReturn waits while a lease is on its way back: until it has come, balance has
// nothing to lease for those who call again already.
func (c *customer) awaitReturn(ctx context.Context) error {
	c.mu.Lock()
	leaving := c.leaving
	c.mu.Unlock()
	if leaving == nil {
		return nil
	}
	select {
	case <-leaving:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// putBack puts a wallet back that could not be given back. Where there is a new one its
// lease remains to be closed.
func (c *customer) putBack(w *wallet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wallet != nil && c.wallet.name() != "" {
		c.unclosed = append(c.unclosed, w.name())
		return
	}
	c.wallet = w
}

// takeUnused takes what is not held out of the wallet, while calls in flight hold some.
func (c *customer) takeUnused() (lease string, turn int64, unused money.Micros) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.wallet
	if w == nil || w.lease == "" || w.holds == 0 || w.left <= 0 {
		return "", 0, 0
	}
	unused, w.left = w.left, 0
	w.granted -= unused
	w.turn++
	return w.lease, w.turn, unused
}

// hold sets a price aside from the lease. known is false when balance must be
// asked; low is true, once in a while, when it is time to ask for more.
func (c *customer) hold(price money.Micros, now time.Time) (lease string, known, low bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.wallet
	if w == nil {
		return "", false, false
	}
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

// balance is what the customer had when it could not pay, nil when that is not known.
func (c *customer) balance() *money.Micros {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wallet == nil {
		return nil
	}
	return c.wallet.balance
}

// pays says whether a lease can still be charged: it has not ended meanwhile, as
// it may when the process was asleep.
func (c *customer) pays(lease string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wallet != nil && c.wallet.lease == lease && now.Before(c.wallet.expires.Add(unusedBefore))
}

// settle ends a hold, of which so much is spent; the rest can be used again.
func (c *customer) settle(lease string, held, spent money.Micros) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.wallet
	if w == nil || w.lease != lease { // that lease has ended; its rest went back with it
		return
	}
	w.holds--
	w.left += held - spent
}
