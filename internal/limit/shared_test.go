package limit

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// nowhere is a place where no Redis is.
const nowhere = "redis://127.0.0.1:1"

// caller calls by way of one gateway, under a tier and, if its rate is not 0, a key.
type caller struct {
	shared    *Shared
	tier, key Claim
}

// callersOf are one customer's at several gateways.
func callersOf(all []*Shared, tier, key int) []*caller {
	callers := make([]*caller, len(all))
	for i, s := range all {
		callers[i] = &caller{s, Claim{NewBucket("cus_a", ""), tier}, Claim{NewBucket("cus_a", "key_a"), key}}
	}
	return callers
}

func (c *caller) take(now time.Time) (Verdict, error) {
	return c.shared.Take(context.Background(), now, c.tier, c.key)
}

// served counts how many of so many calls, from several goroutines at each gateway, are
// admitted. Whoever is refused gives up.
func served(t *testing.T, callers []*caller, now func() time.Time, each int) int {
	t.Helper()
	var admitted atomic.Int64
	var wait sync.WaitGroup
	for _, c := range callers {
		for range 8 {
			wait.Go(func() {
				for range each {
					v, err := c.take(now())
					if err != nil {
						t.Error(err)
					}
					if err != nil || v.Retry > 0 {
						return
					}
					admitted.Add(1)
				}
			})
		}
	}
	wait.Wait()
	return int(admitted.Load())
}

func mode(m Mode, away WhenAway, c *clock) func(*Config) {
	return func(config *Config) { config.Mode, config.WhenAway, config.Now = m, away, c.now }
}

func TestStrict_GatewaysAdmitExactlyTheLimit(t *testing.T) {
	t.Parallel()
	clock := newClock()
	m := mini(t, clock)
	callers := callersOf(fleet(t, 3, "redis://"+m.Addr(), mode(Strict, Refuse, clock)), 100, 0)
	if n := served(t, callers, clock.now, 1000); n != 100 {
		t.Errorf("%d calls are admitted at once, want 100", n)
	}
	clock.advance(m, 300*time.Millisecond)
	if n := served(t, callers, clock.now, 1000); n != 30 {
		t.Errorf("%d calls are admitted after 300 ms, want 30", n)
	}
}

// servedFor counts how many calls are admitted in some time and until everybody has been
// refused, and how many may be at most from before the first call until after the last.
func servedFor(t *testing.T, callers []*caller, d time.Duration, rate int) (admitted, most int) {
	t.Helper()
	begin := time.Now()
	var count atomic.Int64
	var wait sync.WaitGroup
	for _, c := range callers {
		for range 4 {
			wait.Go(func() {
				for refused := false; !refused || time.Since(begin) < d; {
					v, err := c.take(time.Now())
					if err != nil {
						t.Error(err)
						return
					}
					if v.Retry > 0 {
						refused = true
					} else {
						count.Add(1)
					}
				}
			})
		}
	}
	wait.Wait()
	return int(count.Load()), rate + 1 + int(time.Since(begin)*time.Duration(rate)/time.Second)
}

func TestStrict_OnTheRealClock(t *testing.T) {
	t.Parallel()
	url := realRedis(t)
	name := prefix(t, connect(t, url))
	const rate = 100
	callers := callersOf(fleet(t, 3, url, func(c *Config) { c.Prefix, c.Mode = name, Strict }), rate, 0)
	n, most := servedFor(t, callers, 500*time.Millisecond, rate)
	if n < rate || n > most { // how much more than the first second is up to the machine
		t.Errorf("%d calls are admitted in half a second, want %d to %d", n, rate, most)
	}
}

func TestStrict_BothLimitsOrNeither(t *testing.T) {
	t.Parallel()
	clock := newClock()
	m := mini(t, clock)
	all := fleet(t, 2, "redis://"+m.Addr(), mode(Strict, Refuse, clock))
	if n := served(t, callersOf(all, 100, 7), clock.now, 1000); n != 7 {
		t.Errorf("%d calls of the key are admitted, want 7", n)
	}
	if n := served(t, callersOf(all, 100, 0), clock.now, 1000); n != 93 {
		t.Errorf("%d calls are left to the tier, want 93", n)
	}
}

func TestStrict_SaysWhatRemainsAndWhenToComeAgain(t *testing.T) {
	t.Parallel()
	clock := newClock()
	all := fleet(t, 2, "redis://"+mini(t, clock).Addr(), mode(Strict, Refuse, clock))
	callers := callersOf(all, 5, 2)
	for i, want := range []Verdict{{Remaining: [2]int{4, 1}}, {Remaining: [2]int{3, 0}}, {Remaining: [2]int{3, 0}, Retry: 500 * time.Millisecond}} {
		if v, err := callers[i%2].take(clock.now()); err != nil || v != want {
			t.Errorf("call %d: got %+v, %v, want %+v", i+1, v, err, want)
		}
	}
}

func TestReturn_IsExactInBothModes(t *testing.T) {
	t.Parallel()
	for _, m := range []Mode{Strict, Fast} {
		clock := newClock()
		callers := callersOf(fleet(t, 2, "redis://"+mini(t, clock).Addr(), mode(m, Refuse, clock)), 10, 5)
		if n := served(t, callers, clock.now, 100); n != 5 {
			t.Fatalf("%s: %d, want 5", m, n)
		}
		callers[0].shared.Return(t.Context(), callers[0].tier, callers[0].key)
		clock.ns.Add(int64(leastRefuse) * 1000) // how long a refusal is believed; Redis' clock stands still
		if n := served(t, callers, clock.now, 100); n != 1 {
			t.Errorf("%s: %d after one was given back, want 1", m, n)
		}
	}
}

func TestFast_GatewaysAdmitWithinOnePercent(t *testing.T) {
	t.Parallel()
	clock := newClock()
	m := mini(t, clock)
	const rate = 3000
	callers := callersOf(fleet(t, 3, "redis://"+m.Addr(), mode(Fast, Refuse, clock)), rate, 0)
	total := 0
	for second := range 3 {
		n := served(t, callers, clock.now, rate)
		total += n
		if n < rate-rate/held || n > rate+rate/held {
			t.Errorf("%d calls are admitted in second %d, want %d within one percent", n, second+1, rate)
		}
		clock.advance(m, time.Second)
	}
	if total > 3*rate {
		t.Errorf("%d calls are admitted in all, which is more than %d", total, 3*rate)
	}
	if b := callers[0].tier.Bucket; b.left > callers[0].shared.share(rate) {
		t.Errorf("a gateway holds %d calls, more than its share", b.left)
	}
}

// TestFast_OnTheRealClock saves up budgets first, which is the worst a gateway can do.
func TestFast_OnTheRealClock(t *testing.T) {
	t.Parallel()
	url := realRedis(t)
	name := prefix(t, connect(t, url))
	const rate = 400
	callers := callersOf(fleet(t, 2, url, func(c *Config) { c.Prefix = name }), rate, 0)
	for _, c := range callers {
		for range 2 {
			if _, err := c.take(time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "a budget is leased", func() bool {
			c.tier.Bucket.mu.Lock()
			defer c.tier.Bucket.mu.Unlock()
			return c.tier.Bucket.left > 0
		})
	}
	n, most := servedFor(t, callers, 500*time.Millisecond, rate)
	if n < rate-rate/held || n > most+rate/held {
		t.Errorf("%d calls are admitted in half a second, want %d to %d and at most one percent more", n, rate, most)
	}
}

func TestFast_ASmallLimitIsExact(t *testing.T) {
	t.Parallel()
	clock := newClock()
	callers := callersOf(fleet(t, 3, "redis://"+mini(t, clock).Addr(), mode(Fast, Refuse, clock)), 100_000, 10)
	if n := served(t, callers, clock.now, 1000); n != 10 {
		t.Errorf("%d calls are admitted, want 10", n)
	}
}

func TestFast_IsInMemoryOnceLeased(t *testing.T) {
	clock := newClock()
	m := mini(t, clock)
	c := callersOf(fleet(t, 1, "redis://"+m.Addr(), mode(Fast, Refuse, clock)), 100_000, 50_000)[0]
	c.warm(t, clock.now)
	before := m.CommandCount()
	if n := testing.AllocsPerRun(100, func() {
		if v, err := c.take(clock.now()); err != nil || v.Retry > 0 {
			t.Fatal(v, err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if n := m.CommandCount() - before; n > 0 {
		t.Errorf("Redis was asked %d times", n)
	}
}

// warm calls until a budget is there for both limits.
func (c *caller) warm(t testing.TB, now func() time.Time) {
	t.Helper()
	eventually(t, "both limits have a budget", func() bool {
		if _, err := c.take(now()); err != nil {
			t.Fatal(err)
		}
		p := pair{c.tier, c.key}
		p.lock()
		defer p.unlock()
		for _, claim := range p {
			if claim.Rate > 0 && (claim.Bucket.left < 100 || claim.Bucket.leasing) {
				return false
			}
		}
		return true
	})
}

func TestFast_WhoCallsOnceHoldsNothing(t *testing.T) {
	t.Parallel()
	clock := newClock()
	m := mini(t, clock)
	c := callersOf(fleet(t, 1, "redis://"+m.Addr(), mode(Fast, Refuse, clock)), 10_000, 0)[0]
	for range 3 {
		if _, err := c.take(clock.now()); err != nil {
			t.Fatal(err)
		}
		if b := c.tier.Bucket; b.leasing || b.left > 0 {
			t.Fatalf("a budget was leased for a quiet customer: %d", b.left)
		}
		clock.advance(m, 2*time.Second)
	}
}

func TestFast_AClockThatJumpsBackRefusesNobodyForLong(t *testing.T) {
	t.Parallel()
	clock := newClock()
	m := mini(t, clock)
	callers := callersOf(fleet(t, 1, "redis://"+m.Addr(), mode(Fast, Refuse, clock)), 1000, 0)
	served(t, callers, clock.now, 2000)
	b := callers[0].tier.Bucket
	eventually(t, "nothing is on its way", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return !b.leasing
	})
	clock.ns.Add(-int64(time.Hour))
	m.SetTime(clock.now())
	if n := served(t, callers, clock.now, 2000); n < 990 || n > 1010 {
		t.Errorf("%d calls are admitted after the clock has jumped back, want a second's worth", n)
	}
}

func TestAway_StrictRefusesAndComesBackByItself(t *testing.T) {
	t.Parallel()
	clock := newClock()
	m := mini(t, clock)
	c := callersOf(fleet(t, 1, "redis://"+m.Addr(), mode(Strict, Refuse, clock)), 100, 0)[0]
	if _, err := c.take(clock.now()); err != nil {
		t.Fatal(err)
	}
	m.Close()
	for range 200 {
		if v, err := c.take(clock.now()); !errors.Is(err, ErrAway) {
			t.Fatalf("got %+v, %v, want ErrAway", v, err)
		}
	}
	if c.shared.Ready() == nil {
		t.Error("it is ready without Redis")
	}
	if err := m.Restart(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Redis is asked again", func() bool { _, err := c.take(clock.now()); return err == nil })
	if err := c.shared.Ready(); err != nil {
		t.Error(err)
	}
}

func TestAway_LocalAdmitsAShare(t *testing.T) {
	t.Parallel()
	for _, how := range []Mode{Strict, Fast} {
		clock := newClock()
		m := mini(t, clock)
		callers := callersOf(fleet(t, 4, "redis://"+m.Addr(), mode(how, Local, clock)), 100, 0)
		m.Close()
		if n := served(t, callers, clock.now, 1000); n != 100 {
			t.Errorf("%s: four gateways admit %d alone, want 25 each", how, n)
		}
		clock.ns.Add(int64(200 * time.Millisecond))
		if n := served(t, callers[:1], clock.now, 1000); n != 5 {
			t.Errorf("%s: one gateway admits %d after 200 ms, want 5", how, n)
		}
	}
}

func TestAway_LocalRefusesWhoeverKnowsNoShare(t *testing.T) {
	t.Parallel()
	clock := newClock()
	c := callersOf([]*Shared{open(t, nowhere, mode(Fast, Local, clock))}, 100, 0)[0]
	if v, err := c.take(clock.now()); !errors.Is(err, ErrAway) {
		t.Errorf("got %+v, %v, want ErrAway", v, err)
	}
}

func TestAway_FastSpendsWhatItHolds(t *testing.T) {
	t.Parallel()
	clock := newClock()
	m := mini(t, clock)
	c := callersOf(fleet(t, 1, "redis://"+m.Addr(), mode(Fast, Refuse, clock)), 100_000, 0)[0]
	c.warm(t, clock.now)
	left := c.tier.Bucket.left
	m.Close()
	for range left {
		if v, err := c.take(clock.now()); err != nil || v.Retry > 0 {
			t.Fatalf("got %+v, %v with a budget", v, err)
		}
	}
	if v, err := c.take(clock.now()); !errors.Is(err, ErrAway) {
		t.Errorf("got %+v, %v after the budget, want ErrAway", v, err)
	}
}

func TestFlushed_OneSecondMoreAndNoMore(t *testing.T) {
	t.Parallel()
	for _, how := range []Mode{Strict, Fast} {
		clock := newClock()
		m := mini(t, clock)
		callers := callersOf(fleet(t, 2, "redis://"+m.Addr(), mode(how, Refuse, clock)), 100, 0)
		served(t, callers, clock.now, 1000)
		m.FlushAll()
		flushScripts(t, m)
		clock.ns.Add(int64(leastRefuse)*10 + 1)
		if n := served(t, callers, clock.now, 1000); n != 100 {
			t.Errorf("%s: %d calls after Redis has forgotten all, want 100", how, n)
		}
	}
}

// flushScripts makes Redis forget its scripts, as a restart does.
func flushScripts(t *testing.T, m *miniredis.Miniredis) {
	t.Helper()
	if err := connect(t, "redis://"+m.Addr()).ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestRedisThatRefusesToWriteIsAway(t *testing.T) {
	t.Parallel()
	clock := newClock()
	m := mini(t, clock)
	c := callersOf(fleet(t, 1, "redis://"+m.Addr(), mode(Strict, Refuse, clock)), 100, 0)[0]
	m.SetError("OOM command not allowed when used memory > 'maxmemory'.")
	if v, err := c.take(clock.now()); !errors.Is(err, ErrAway) {
		t.Errorf("got %+v, %v, want ErrAway", v, err)
	}
	m.SetError("")
	eventually(t, "Redis is asked again", func() bool { _, err := c.take(clock.now()); return err == nil })
}

func TestSlow_NobodyWaitsLongAndNothingPilesUp(t *testing.T) {
	t.Parallel()
	m := mini(t, newClock())
	p := newProxy(t, m.Addr())
	const timeout = 100 * time.Millisecond
	s := open(t, p.url(), func(c *Config) { c.Mode, c.Timeout = Strict, timeout })
	c := callersOf([]*Shared{s}, 1_000_000, 0)[0]
	if _, err := c.take(time.Now()); err != nil {
		t.Fatal(err)
	}
	p.delay.Store(int64(time.Minute / 60))
	var longest atomic.Int64
	var wait sync.WaitGroup
	for range 500 {
		wait.Go(func() {
			begin := time.Now()
			if _, err := c.take(begin); !errors.Is(err, ErrAway) {
				t.Errorf("got %v, want ErrAway", err)
			}
			longest.Store(max(longest.Load(), int64(time.Since(begin))))
		})
	}
	wait.Wait()
	if d := time.Duration(longest.Load()); d > 10*timeout { // twice, and what the machine takes
		t.Errorf("a call waited %v", d)
	}
	begin := time.Now()
	for range 1000 {
		if _, err := c.take(begin); !errors.Is(err, ErrAway) {
			t.Fatalf("got %v, want ErrAway", err)
		}
	}
	if d := time.Since(begin); d > timeout {
		t.Errorf("calls wait for a Redis that is away: a thousand took %v", d)
	}
	p.delay.Store(0)
	eventually(t, "Redis is asked again", func() bool { _, err := c.take(time.Now()); return err == nil })
}

func TestDeaf_IsNoticedAndForgotten(t *testing.T) {
	t.Parallel()
	m := mini(t, newClock())
	p := newProxy(t, m.Addr())
	s := open(t, p.url(), func(c *Config) { c.Mode, c.Timeout = Strict, 50*time.Millisecond })
	c := callersOf([]*Shared{s}, 1_000_000, 0)[0]
	p.deaf.Store(true)
	if _, err := c.take(time.Now()); !errors.Is(err, ErrAway) {
		t.Errorf("got %v, want ErrAway", err)
	}
	p.deaf.Store(false)
	eventually(t, "Redis is asked again", func() bool { _, err := c.take(time.Now()); return err == nil })
}

func TestADeadConnectionRefusesNobody(t *testing.T) {
	t.Parallel()
	clock := newClock()
	m := mini(t, clock)
	p := newProxy(t, m.Addr())
	c := callersOf(fleet(t, 1, p.url(), mode(Strict, Refuse, clock)), 1000, 0)[0]
	for range 50 {
		p.cut()
		if _, err := c.take(clock.now()); err != nil {
			t.Fatal(err)
		}
	}
	p.breaks.Store(1)
	if _, err := c.take(clock.now()); err != nil {
		t.Error(err)
	}
}

func TestWhatMayHaveBeenGivenBackIsNotGivenBackTwice(t *testing.T) {
	t.Parallel()
	clock := newClock()
	m := mini(t, clock)
	p := newProxy(t, m.Addr())
	c := callersOf(fleet(t, 1, p.url(), mode(Strict, Refuse, clock)), 10, 0)[0]
	served(t, []*caller{c}, clock.now, 10)
	p.breaks.Store(1)
	c.shared.Return(t.Context(), c.tier, c.key)
	if n := served(t, []*caller{c}, clock.now, 10); n != 1 {
		t.Errorf("%d calls are admitted after one was given back, want 1", n)
	}
}

func TestGatewaysAreCounted(t *testing.T) {
	t.Parallel()
	clock := newClock()
	m := mini(t, clock)
	all := fleet(t, 3, "redis://"+m.Addr(), mode(Fast, Refuse, clock))
	if n := all[0].share(900); n != 3 {
		t.Errorf("a third of a hundredth of 900 is %d, want 3", n)
	}
	if n := all[0].share(299); n != 0 {
		t.Errorf("a limit of 299 is parted: %d", n)
	}
	if err := all[2].Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the gateway that has gone is not counted", func() bool { return all[0].gateways.Load() == 2 })
	all[1].end() // as if it had been killed
	all[1].tasks.Wait()
	if _, err := m.ZAdd("m3o:rate:gateways", float64(clock.now().Unix()), all[1].name); err != nil {
		t.Fatal(err)
	}
	clock.ns.Add(int64(goneAfter * time.Second))
	m.SetTime(clock.now())
	eventually(t, "the gateway that was killed is not counted", func() bool { return all[0].gateways.Load() == 1 })
}

func TestStateInRedisExpires(t *testing.T) {
	t.Parallel()
	clock := newClock()
	m := mini(t, clock)
	c := callersOf(fleet(t, 1, "redis://"+m.Addr(), mode(Strict, Refuse, clock)), 4, 2)[0]
	for range 2 {
		if _, err := c.take(clock.now()); err != nil {
			t.Fatal(err)
		}
	}
	if d := m.TTL("m3o:rate:{cus_a}"); d != 500*time.Millisecond {
		t.Errorf("the tier's state lives %v, want as long as it counts: 500 ms", d)
	}
	clock.advance(m, time.Second)
	if keys := m.Keys(); len(keys) != 1 || keys[0] != "m3o:rate:gateways" {
		t.Errorf("after a second there are still %v", keys)
	}
}

func TestTake_EndsWithItsCaller(t *testing.T) {
	t.Parallel()
	p := newProxy(t, mini(t, newClock()).Addr())
	s := open(t, p.url(), func(c *Config) { c.Mode = Strict })
	p.deaf.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Take(ctx, time.Now(), Claim{NewBucket("cus_a", ""), 10}, Claim{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the context", err)
	}
}

func TestClose_LetsGoWhoeverWaits(t *testing.T) {
	t.Parallel()
	p := newProxy(t, mini(t, newClock()).Addr())
	s := open(t, p.url(), func(c *Config) { c.Mode = Strict })
	p.deaf.Store(true)
	result := make(chan error, 1)
	go func() {
		_, err := s.Take(context.Background(), time.Now(), Claim{NewBucket("cus_a", ""), 10}, Claim{})
		result <- err
	}()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; !errors.Is(err, ErrAway) {
		t.Errorf("got %v, want ErrAway", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if _, err := s.Take(t.Context(), time.Now(), Claim{NewBucket("cus_a", ""), 10}, Claim{}); !errors.Is(err, ErrAway) {
		t.Errorf("after Close: %v, want ErrAway", err)
	}
}

func TestOpen_SaysWhatIsWrongWithTheURL(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "localhost:6379", "http://localhost", "redis://localhost/x"} {
		_, err := Open(t.Context(), Config{URL: url})
		if err == nil || !strings.Contains(err.Error(), "redis://") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestWithoutLimitsRedisIsNotAsked(t *testing.T) {
	t.Parallel()
	clock := newClock()
	s := open(t, nowhere, mode(Strict, Refuse, clock))
	if v, err := s.Take(t.Context(), clock.now(), Claim{}, Claim{}); err != nil || v != (Verdict{}) {
		t.Errorf("got %+v, %v", v, err)
	}
}
