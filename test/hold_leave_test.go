package test

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// begin makes a call and returns when its answer has begun; leave breaks the connection off.
func (c client) begin(t *testing.T, path string) (resp *http.Response, leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	resp, err = c.http.Do(r)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	return resp, func() {
		cancel()
		_ = resp.Body.Close()
	}
}

// hasLeft waits until the upstream knows that the caller of a call has gone.
func (m *moody) hasLeft(t *testing.T, mood string) {
	t.Helper()
	select {
	case got := <-m.left:
		if got != mood {
			t.Errorf("%s has been left, want %s", got, mood)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("the upstream is not told that the caller of %s has gone", mood)
	}
}

// TestWhoLeavesMidAnswerPaysByTheRuleOnce: a call is charged when its answer begins; where its price is known at the
// end only, for what was sent.
func TestWhoLeavesMidAnswerPaysByTheRuleOnce(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store) {
		sys := start(t, s)
		boss := sys.admin(t)
		up := newMoody(t)
		up.sell(t, boss)
		for _, c := range []struct {
			mood string
			read int64
			is   func(price int64) bool
		}{
			{"Begun", chunkLength, func(price int64) bool { return price == moodPrice }},
			{"BegunBytes", chunkLength, func(price int64) bool { return price == fullLength }}, // known when it begins
			{"Flow", 20 * chunkLength, func(price int64) bool { return price == moodPrice }},
			{"FlowBytes", 20 * chunkLength, func(price int64) bool { return price >= 20*chunkLength && price < fullLength && price%chunkLength == 0 }},
		} {
			lea := sys.signUp(t, boss, strings.ToLower(c.mood)+"@example.com")
			resp, leave := sys.as(lea.key(t).Key).begin(t, "/v1/moody/"+c.mood)
			if _, err := io.CopyN(io.Discard, resp.Body, c.read); err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("%s: %d %v", c.mood, resp.StatusCode, err)
			}
			leave()
			up.hasLeft(t, c.mood)
			lea.paidOneCall(t, resp.Header.Get("M3O-Request-Id"), c.is)
		}
		sys.balanced(t)
	})
}

// paidOneCall checks that a new customer has paid exactly one call, at a price that is right.
func (c customer) paidOneCall(t *testing.T, id string, isRight func(price int64) bool) {
	t.Helper()
	var records []record
	eventually(t, 10*time.Second, "the call to be recorded", func() bool {
		records = c.records(t, 10)
		return len(records) > 0
	})
	if r := records[0]; len(records) != 1 || !isRight(r.Price) || id != "" && r.RequestID != id {
		t.Errorf("%s: recorded %+v, want %s at its price", c.email, records, id)
	}
	if b := c.balance(t); b.Current != 1_000_000-records[0].Price {
		t.Errorf("%s: the call cost %d, the balance is %d", c.email, records[0].Price, b.Current)
	}
	c.addsUp(t, 7)
}

func TestWhoLeavesBeforeTheAnswerPaysNothing(t *testing.T) {
	t.Parallel()
	sys := start(t, sqlite(t))
	boss := sys.admin(t)
	up := newMoody(t)
	a := up.moods()
	a.Timeouts["Moody.Never"] = "30s"
	do[map[string]any](t, boss, "/publicapi/Publish", map[string]any{"api": a})
	ned := sys.signUp(t, boss, "ned@example.com")
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, sys.base+"/v1/moody/never", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+ned.key(t).Key)
	var wait sync.WaitGroup
	wait.Go(func() {
		if resp, err := sys.http.Do(r); err == nil {
			_ = resp.Body.Close()
			t.Errorf("answered %d", resp.StatusCode)
		}
	})
	eventually(t, 10*time.Second, "the price to be held", func() bool { return ned.balance(t).Leased > 0 })
	leave()
	wait.Wait()
	up.hasLeft(t, "Never")
	ned.hasPaid(t, boss, 0, 0)
}

// hasPaid checks that a new customer has so many calls recorded and has paid so much, and that nothing is held.
func (c customer) hasPaid(t *testing.T, admin client, calls int, spent int64) {
	t.Helper()
	if n, b := len(c.records(t, 1000)), c.balance(t); n != calls || b.Current != 1_000_000-spent {
		t.Errorf("%s: %d calls recorded, want %d; %d spent, want %d", c.email, n, calls, 1_000_000-b.Current, spent)
	}
	c.empty(t, admin)
	c.addsUp(t, 1000)
}

// empty takes what a customer has, to the last micro-dollar: no call holds any of it.
func (c customer) empty(t *testing.T, admin client) {
	t.Helper()
	b := c.balance(t)
	if b.Current > 0 {
		var a answer
		eventually(t, 10*time.Second, "no call to hold anything", func() bool {
			a = admin.post(t, "/balance/Decrement", moved(c.id, b.Current, "Emptied by a test", "empty-"+c.id, false))
			return a.status != http.StatusServiceUnavailable
		})
		if a.status != http.StatusOK {
			t.Errorf("%s: not all of %+v can be had: %d %s", c.email, b, a.status, a.body)
		}
	}
	if b = c.balance(t); b.Current != 0 || b.Leased != 0 {
		t.Errorf("%s: emptied to %+v", c.email, b)
	}
}

// TestWhoLeavesAtAnyMomentPaysAllOrNothing leaves at random moments, of which the callers know nothing.
func TestWhoLeavesAtAnyMomentPaysAllOrNothing(t *testing.T) {
	t.Parallel()
	sys := start(t, sqlite(t))
	boss := sys.admin(t)
	newMoody(t).sell(t, boss)
	amy := sys.signUp(t, boss, "amy@example.com")
	caller := sys.as(amy.key(t).Key)
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			for at := range 40 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(6000))*time.Microsecond)
				path := []string{"/v1/moody/good", "/v1/moody/events", "/v1/helloworld/stream", "/v1/moody/flow"}[(i+at)%4]
				caller.glance(ctx, path)
				cancel()
			}
		})
	}
	wait.Wait()
	eventually(t, 10*time.Second, "what the calls cost to be what is gone", func() bool { // some end after their callers have left
		return amy.spent(t, map[string]int64{"moody": moodPrice, "helloworld": 10}) == 1_000_000-amy.balance(t).Current
	})
	amy.empty(t, boss)
	amy.addsUp(t, 1000)
	sys.balanced(t)
}

// spent is what the calls of a customer have cost; each is recorded once, at the price of its service.
func (c customer) spent(t *testing.T, prices map[string]int64) (sum int64) {
	t.Helper()
	seen := map[string]bool{}
	for _, r := range c.records(t, 1000) {
		sum += r.Price
		if r.Price != prices[r.Service] || seen[r.RequestID] {
			t.Errorf("recorded %+v", r)
		}
		seen[r.RequestID] = true
	}
	if sum == 0 {
		t.Error("no call has been charged")
	}
	return sum
}

// glance makes a call and takes what comes until the context ends.
func (c client) glance(ctx context.Context, path string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, strings.NewReader(`{"messages":100}`))
	if err != nil {
		return
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	if resp, err := c.http.Do(r); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}

// dial opens a WebSocket on an endpoint.
func (c client) dial(t *testing.T, path string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(c.base, "http")+path, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + c.token}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

// hear reads a message in time.
func hear(t *testing.T, conn *websocket.Conn) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, text, err := conn.Read(ctx)
	return string(text), err
}

// say sends a message.
func say(t *testing.T, conn *websocket.Conn, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func TestWhoLeavesASocketPaysEachMessageThatWasAnswered(t *testing.T) {
	t.Parallel()
	sys := start(t, sqlite(t))
	boss := sys.admin(t)
	up := newMoody(t)
	up.sell(t, boss)
	wes := sys.signUp(t, boss, "wes@example.com")
	caller := sys.as(wes.key(t).Key)
	unary := caller.dial(t, "/v1/helloworld/call")
	for range 3 {
		say(t, unary, `{"name":"Wes"}`)
		if got, err := hear(t, unary); err != nil || !strings.Contains(got, "Hello Wes") {
			t.Fatalf("%q %v", got, err)
		}
	}
	_ = unary.CloseNow()
	stream := caller.dial(t, "/v1/moody/flow")
	say(t, stream, "{}")
	for range 5 {
		if got, err := hear(t, stream); err != nil || !strings.HasPrefix(got, "xxx") {
			t.Fatalf("%q %v", got, err)
		}
	}
	_ = stream.CloseNow()
	up.hasLeft(t, "Flow")
	caller.dial(t, "/v1/moody/good") // a socket that says nothing costs nothing
	wes.hasPaid(t, boss, 4, 3*10+moodPrice)
	sys.balanced(t)
}
