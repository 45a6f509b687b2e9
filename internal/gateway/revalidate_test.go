package gateway_test

import (
	"testing"
	"time"

	"m3o/internal/db/dbtest"
	"m3o/internal/keys/keysapi"
	"m3o/internal/publicapi/publicapiapi"
)

// checking has a gateway ask often what has changed.
func checking(s *door) { s.every = 2 * time.Millisecond }

// change makes a change of which no event tells.
func (s *door) change(source, subject string, change func()) {
	s.t.Helper()
	s.set(func() {
		change()
		s.changes = append(s.changes, keysapi.Change{Source: source, Subject: subject})
	})
	s.checked()
}

// checked waits until the gateway has asked anew, from the first to the last question.
func (s *door) checked() {
	s.t.Helper()
	goal := s.asked.Load() + 4 // one may be on its way, and a change is asked for twice
	for deadline := time.Now().Add(5 * time.Second); s.asked.Load() < goal; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatal("the gateway does not ask what has changed")
		}
	}
}

func TestALostEventKeepsNothingAlive(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t), checking)
	s.credit(1_000_000)
	key := s.key(nil)
	want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
	s.change("billing", customer, func() { s.tier.Caps = map[string]int64{"demo.paid": 0} })
	want(t, s.call(key, "/v1/demo/paid", "{}"), 403, "v1.blocked", "Request blocked. Usage cap exceeded")
	s.change("billing", "", func() { s.tier.Caps = nil })
	want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
	s.change("publicapi", "", func() {
		s.catalogue = publicapiapi.Catalogue{Version: s.catalogue.Version + 1}
	})
	want(t, s.call(key, "/v1/demo/paid", "{}"), 404, "v1", "No such API")
	s.change("customers", customer, func() {
		for hash, record := range s.keys {
			record.Blocked = []keysapi.Block{{Reason: keysapi.BlockedByBan, Message: "User has been banned"}}
			s.keys[hash] = record
		}
	})
	want(t, s.call(key, "/v1/demo/paid", "{}"), 403, "v1.blocked", "Request blocked. User has been banned")
	s.change("keys", customer, func() { clear(s.keys) })
	want(t, s.call(key, "/v1/demo/paid", "{}"), 401, "v1", "Unauthorized")
}

func TestAHistoryThatIsAnotherForgetsEverything(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t), checking)
	s.credit(1_000_000)
	key := s.key(nil)
	want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
	s.change("", "", func() {
		clear(s.keys)
		s.catalogue.Version++
	})
	want(t, s.call(key, "/v1/demo/paid", "{}"), 401, "v1", "Unauthorized")
}

func TestAGatewayThatIsCutOffRefuses(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t), checking)
	s.credit(1_000_000)
	key := s.key(nil)
	want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
	s.set(func() { s.down["keys"] = true })
	want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "") // for a short time what is remembered will do
	s.ahead.Add(int64(5*time.Second + time.Millisecond))
	w := s.call(key, "/v1/demo/paid", "{}")
	want(t, w, 503, "v1", "The service is not available, try again in a moment")
	if w.Header().Get("Retry-After") == "" {
		t.Error("there is no Retry-After")
	}
	s.set(func() { s.down["keys"] = false })
	s.checked()
	want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
}

func TestAGatewayThatHearsOfEverythingAsksNothing(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(1_000_000)
	key := s.key(nil)
	want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
	s.set(func() { s.down["keys"] = true })
	s.ahead.Add(int64(20 * time.Second))
	want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
	if n := s.asked.Load(); n != 0 {
		t.Errorf("it has asked %d times", n)
	}
}
