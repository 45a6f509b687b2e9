package gateway_test

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"m3o/internal/db/dbtest"
	"m3o/internal/keys/keysapi"
	"m3o/internal/limit"
)

// frozen is a Redis whose time stands still, so that what is admitted is exact.
func frozen(t *testing.T) *miniredis.Miniredis {
	t.Helper()
	m := miniredis.RunT(t)
	m.SetTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	return m
}

// share makes the door's gateway share its rates by way of a Redis.
func (s *door) share(url string) *limit.Shared {
	s.t.Helper()
	shared, err := limit.Open(s.t.Context(), limit.Config{URL: url, Log: slog.New(slog.DiscardHandler), Now: s.now, Timeout: time.Second})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := shared.Close(); err != nil {
			s.t.Error(err)
		}
	})
	s.limits = shared
	s.open()
	return shared
}

// setRates changes how the door's gateway holds shared rates.
func (s *door) setRates(mode, whenAway string) {
	s.t.Helper()
	if err := s.gateway.SetRateMode(s.t.Context(), mode); err != nil {
		s.t.Fatal(err)
	}
	if err := s.gateway.SetRateWhenAway(s.t.Context(), whenAway); err != nil {
		s.t.Fatal(err)
	}
}

// twoDoors are two gateways of the same customers that share their rates.
func twoDoors(t *testing.T, url, mode string, tierRate int) (doors [2]*door, keys [2]string) {
	t.Helper()
	for i := range doors {
		doors[i] = newDoor(t, dbtest.SQLite(t))
		doors[i].set(func() { doors[i].tier.Rate = tierRate })
		doors[i].share(url)
		doors[i].setRates(mode, "refuse")
		keys[i] = doors[i].key(func(r *keysapi.Record) { r.ID = "key_a" })
	}
	return doors, keys
}

func TestTwoGatewaysShareOneRate(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"strict", "fast"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			doors, keys := twoDoors(t, "redis://"+frozen(t).Addr(), mode, 5)
			for i, remains := range []string{"4", "3", "2", "1", "0"} {
				w := doors[i%2].call(keys[i%2], "/v1/demo/free", "{}")
				want(t, w, 200, "", "")
				if w.Header().Get("RateLimit-Policy") != `"tier";q=5;w=1` || w.Header().Get("RateLimit") != `"tier";r=`+remains+`;t=1` {
					t.Errorf("call %d: %v", i+1, w.Header())
				}
			}
			for i := range doors {
				w := doors[i].call(keys[i], "/v1/demo/free", "{}")
				want(t, w, 429, "v1.blocked", "Too Many Requests")
				if w.Header().Get("Retry-After") != "1" || w.Header().Get("RateLimit") != `"tier";r=0;t=1` {
					t.Errorf("refused with %v", w.Header())
				}
			}
		})
	}
}

func TestTheRateOfAKeyIsSharedToo(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.set(func() { s.tier.Rate = 100 })
	s.share("redis://" + frozen(t).Addr())
	s.setRates("strict", "refuse") // by fast rates a place of the tier may be held ahead of use
	slow := s.key(func(r *keysapi.Record) { r.Rate = 2 })
	for range 2 {
		want(t, s.call(slow, "/v1/demo/free", "{}"), 200, "", "")
	}
	s.keysChanged() // a key that is read again has not got its second again
	w := s.call(slow, "/v1/demo/free", "{}")
	want(t, w, 429, "v1.blocked", "Too Many Requests")
	if got := w.Header().Get("RateLimit"); got != `"tier";r=98;t=1, "key";r=0;t=1` {
		t.Errorf("refused with %s", got)
	}
}

// TestACallThatIsRefusedLaterHasHadItsPlace is one rule for rates of one gateway and of
// several: a place in the rates is not given back to a call that cannot be paid.
func TestACallThatIsRefusedLaterHasHadItsPlace(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"alone", "strict", "fast"} {
		s := newDoor(t, dbtest.SQLite(t))
		s.set(func() { s.tier.Rate = 1 })
		if mode != "alone" {
			s.share("redis://" + frozen(t).Addr())
			s.setRates(mode, "refuse")
		}
		key := s.key(nil)
		want(t, s.call(key, "/v1/demo/paid", "{}"), 402, "v1.blocked", "Request blocked. Insufficient credit")
		want(t, s.call(key, "/v1/demo/paid", "{}"), 429, "v1.blocked", "Too Many Requests")
	}
}

func TestRedisAwayIsRefusedOrCountedAlone(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"strict", "fast"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			m := frozen(t)
			doors, keys := twoDoors(t, "redis://"+m.Addr(), mode, 8)
			s, key := doors[1], keys[1] // the one that was opened last has counted both
			want(t, s.call(key, "/v1/demo/free", "{}"), 200, "", "")
			m.Close()
			w := s.call(key, "/v1/demo/free", "{}")
			want(t, w, 503, "v1", "The service is not available, try again in a moment")
			if w.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			s.setRates(mode, "local")
			for range 3 {
				want(t, s.call(key, "/v1/demo/free", "{}"), 200, "", "")
			}
			s.setRates(mode, "refuse")
			want(t, s.call(key, "/v1/demo/free", "{}"), 503, "v1", "The service is not available, try again in a moment")
			if err := m.Restart(); err != nil {
				t.Fatal(err)
			}
			s.until(func() *httptest.ResponseRecorder { return s.call(key, "/v1/demo/free", "{}") }, 200)
		})
	}
}

// until repeats a call until it is answered with a status, for at most ten seconds.
func (s *door) until(call func() *httptest.ResponseRecorder, status int) {
	s.t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		w := call()
		if w.Code == status {
			return
		}
		select {
		case <-poll.C:
		case <-deadline.C:
			s.t.Fatalf("still %d %s after ten seconds, want %d", w.Code, w.Body, status)
		}
	}
}

func TestAHandshakeGivesItsPlaceInSharedRatesToTheFirstMessage(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.share("redis://" + frozen(t).Addr())
	s.setRates("strict", "refuse")
	server := httptest.NewServer(s.gateway)
	t.Cleanup(server.Close)
	s.answer(echo)
	c := port{s, server.URL}.open(s.key(func(r *keysapi.Record) { r.Rate = 2 }), "/v1/demo/free")
	for _, text := range []string{"1", "2"} {
		c.say(text)
		c.hears(`{"you said":` + text + `}`)
	}
	c.say("3")
	c.hearsProblem(429, "v1.blocked", "Too Many Requests")
}

func TestASettingOfSharedRatesIsOneOfThose(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	if err := s.gateway.SetRateMode(t.Context(), "roughly"); err == nil || !strings.Contains(err.Error(), "fast|strict") {
		t.Errorf("got %v", err)
	}
	if err := s.gateway.SetRateWhenAway(t.Context(), "open"); err == nil || !strings.Contains(err.Error(), "refuse|local") {
		t.Errorf("got %v", err)
	}
}
