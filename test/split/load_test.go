package split

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// shopper is a customer whose calls are counted, by attempt and by outcome.
type shopper struct {
	*customer
	mu         sync.Mutex
	served     map[string]int64 // what each attempt that was answered with success said it cost, by request id
	refused    map[string]int   // the status of every other answer, by request id
	unanswered int              // attempts whose answer never came: the system may have served them
	outcomes   map[int]int      // of calls, by the status of their last attempt; 0 is no answer
	retried    int              // calls of which the first attempt failed
}

func (d *deployment) shopper(t *testing.T) *shopper {
	t.Helper()
	return &shopper{customer: d.signUp(t), served: map[string]int64{}, refused: map[string]int{}, outcomes: map[int]int{}}
}

// call makes a call at a gateway, and once more at the next one when that fails.
func (s *shopper) call(l *load, at int, path string) int {
	status := s.attempt(l, l.doors[at%len(l.doors)], path)
	first := status
	if failed(status) {
		status = s.attempt(l, l.doors[(at+1)%len(l.doors)], path)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcomes[status]++
	if failed(first) {
		s.retried++
	}
	return status
}

// failed says whether somebody who may try once more does.
func failed(status int) bool { return status == 0 || status >= 500 }

func (s *shopper) attempt(l *load, door *process, path string) int {
	begun := time.Now()
	a, err := s.as(s.Key).at(door).send(path, question)
	s.mu.Lock()
	defer s.mu.Unlock()
	id := a.header.Get("M3O-Request-Id")
	switch {
	case a.status/100 == 2: // also where the rest of it broke off
		var cost int64
		_, _ = fmt.Sscan(a.header.Get("M3O-Price"), &cost)
		s.served[id] = cost
		l.note(door.name, begun)
	case err != nil:
		s.unanswered++
	default:
		s.refused[id] = a.status
	}
	if err != nil {
		return 0
	}
	return a.status
}

// count is how many attempts were served.
func (s *shopper) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.served)
}

// figures are the outcomes as a report shows them, and how many there are.
func (s *shopper) figures() (calls int, served int, others string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, status := range slices.Sorted(maps.Keys(s.outcomes)) {
		n := s.outcomes[status]
		switch calls += n; status {
		case http.StatusOK:
			served = n
		case 0:
			all = append(all, fmt.Sprintf("no answer: %d", n))
		default:
			all = append(all, fmt.Sprintf("%d: %d", status, n))
		}
	}
	return calls, served, strings.Join(all, ", ")
}

// load is calls that go on while something happens.
type load struct {
	doors []*process
	rich  *shopper // can pay for everything
	poor  *shopper // has credit for a few calls
	over  atomic.Bool
	wait  sync.WaitGroup

	mu     sync.Mutex
	latest map[string]time.Time // when the latest of a gateway's served attempts began, by its name

	calls, deposits silence
}

const (
	callers   = 12 // of the rich shopper
	pace      = 50 * time.Millisecond
	poorCalls = 100 // that the poor shopper can pay
	deposit   = 7   // micro-dollars, ten times a second
)

// deposits stands beside the gateways' names for the cashier.
const deposits = "deposits"

// paths is what callers call in turn.
var paths = []string{viaBus, viaHTTP, viaBus, viaHTTP, viaStream}

// begin starts the load with shoppers of its own, and waits until it is under way at every gateway.
func (d *deployment) begin(t *testing.T) *load {
	t.Helper()
	l := &load{doors: d.doors(), rich: d.shopper(t), poor: d.shopper(t), latest: map[string]time.Time{}}
	d.unlimited(t, l.rich.customer)
	d.adjust(t, l.poor.customer, poorCalls*price-signUpCredit, "poor")
	for i := range callers {
		l.caller(l.rich, i, pace)
	}
	l.caller(l.poor, 0, pace)
	l.caller(l.poor, 1, pace)
	l.wait.Go(func() { l.cashier(t.Context(), d.boss) })
	t.Cleanup(l.stop) // also when the test fails on its way
	begun := time.Now()
	eventually(t, 30*time.Second, "the load at every gateway", func() bool { return l.rich.count() > 5*callers && l.worksSince(begun) })
	l.resetGaps()
	return l
}

// caller calls at its pace until the load is over.
func (l *load) caller(s *shopper, i int, pace time.Duration) {
	l.wait.Go(func() {
		tick := time.NewTicker(pace)
		defer tick.Stop()
		for at := i; !l.over.Load(); at++ {
			s.call(l, i, paths[at%len(paths)])
			<-tick.C
		}
	})
}

// cashier pays small amounts in, each again and again until it is acknowledged: it must count once.
func (l *load) cashier(ctx context.Context, boss client) {
	tick := time.NewTicker(2 * pace)
	defer tick.Stop()
	paid := 0
	for try := 0; ctx.Err() == nil; try++ {
		begun := time.Now()
		a, err := boss.at(l.doors[try%len(l.doors)]).send("/balance/Increment", adjustment(l.rich.customer, deposit, fmt.Sprint("-", paid)))
		if err == nil && a.status == http.StatusOK {
			l.rich.credit += deposit
			paid++
			l.note(deposits, begun)
			if l.over.Load() { // not before the last one is acknowledged
				return
			}
		}
		<-tick.C
	}
}

// stop ends the load and waits for its last answers.
func (l *load) stop() {
	l.over.Store(true)
	l.wait.Wait()
}

// note notes that a gateway has served an attempt, or that a deposit is acknowledged.
func (l *load) note(what string, begun time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if begun.After(l.latest[what]) {
		l.latest[what] = begun
	}
	s := &l.calls
	if what == deposits {
		s = &l.deposits
	}
	s.ends(time.Now())
}

// worksSince says whether every gateway has served an attempt that began after a time, and a deposit was made.
func (l *load) worksSince(since time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, door := range l.doors {
		if !l.latest[door.name].After(since) {
			return false
		}
	}
	return l.latest[deposits].After(since)
}

// silence is the longest time without something that was last at a time.
type silence struct {
	at      time.Time
	longest time.Duration
}

func (s *silence) ends(now time.Time) {
	s.longest, s.at = max(s.longest, now.Sub(s.at)), now
}

func (l *load) resetGaps() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls, l.deposits = silence{at: time.Now()}, silence{at: time.Now()}
}

func (l *load) longestGaps() (call, deposit time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls.longest, l.deposits.longest
}
