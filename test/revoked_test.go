package test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestRevokedIsRevoked holds that after the answer to a withdrawal not one more call is served, while calls pour in.
func TestRevokedIsRevoked(t *testing.T) {
	t.Parallel()
	sys := start(t, sqlite(t))
	boss := sys.admin(t)
	up := newUpstream(t)
	publish(t, boss, newAPI("echo", up.URL, map[string]int64{"Say": 1}))
	for _, c := range []struct {
		name, path string
		want       int
		withdraw   func(*testing.T, customer, key)
	}{
		{"Revoke", "/v1/helloworld/call", 401, func(t *testing.T, c customer, k key) {
			done(t, c.client, "/v1/api/keys/revoke", map[string]string{"id": k.ID})
		}},
		{"BlockKey", "/v1/helloworld/call", 403, func(t *testing.T, c customer, k key) {
			done(t, boss, "/v1/BlockKey", map[string]string{"user_id": c.id, "key_id": k.ID})
		}},
		{"BlockAll", "/v1/helloworld/call", 403, func(t *testing.T, c customer, _ key) {
			done(t, boss, "/v1/BlockKey", map[string]string{"user_id": c.id})
		}},
		{"Ban", "/v1/helloworld/call", 403, func(t *testing.T, c customer, _ key) {
			done(t, boss, "/customers/Ban", map[string]string{"id": c.id})
		}},
		{"Remove", "/v1/echo/say", 404, func(t *testing.T, _ customer, _ key) {
			done(t, boss, "/publicapi/Remove", map[string]string{"name": "echo"})
		}},
		{"Delete", "/v1/helloworld/call", 0, func(t *testing.T, c customer, _ key) {
			done(t, c.client, "/customers/Delete", struct{}{})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			who := sys.signUp(t, boss, strings.ToLower(c.name)+"@example.com")
			k := who.key(t)
			underLoad(t, sys.as(k.Key), c.path, c.want, func() { c.withdraw(t, who, k) })
		})
	}
	sys.balanced(t)
}

// underLoad calls from eight clients, withdraws after 200 served calls, and wants each later call refused as told; 0 is
// any refusal of 401 or 403.
func underLoad(t *testing.T, c client, path string, want int, withdraw func()) {
	t.Helper()
	const clients, before, after = 8, 200, 40
	var served atomic.Int64
	var withdrawn, stop atomic.Bool
	var wait sync.WaitGroup
	defer wait.Wait()
	defer stop.Store(true)
	for range clients {
		wait.Go(func() {
			for left := after; left > 0 && (!stop.Load() || withdrawn.Load()); {
				late := withdrawn.Load()
				a, err := c.send(http.MethodPost, path, strings.NewReader("{}"))
				switch {
				case err != nil:
					t.Error(err)
					return
				case late && a.status != want && (want != 0 || a.status != 401 && a.status != 403):
					t.Errorf("after the answer to the withdrawal a call was answered %d %s", a.status, a.body)
					return
				case late:
					left--
				case a.status == http.StatusOK:
					served.Add(1)
				}
			}
		})
	}
	eventually(t, 30*time.Second, "the load", func() bool { return served.Load() >= before })
	withdraw()
	withdrawn.Store(true)
}
