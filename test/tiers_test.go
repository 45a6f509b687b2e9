package test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// config writes a --config file and returns its flags.
func config(t *testing.T, text string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--config", file}
}

func TestTiersOfTheConfiguration(t *testing.T) {
	t.Parallel()
	sys := start(t, sqlite(t), config(t, `
billing:
  tiers:
    free: {price: 0, free_calls: 3, rate: 5, caps: {"Meter.Never": 0, "Meter.Twice": 2}}
    open: {price: 0, free_calls: 0, rate: 0, caps: {}}
`)...)
	boss := sys.admin(t)
	up := newUpstream(t)
	publish(t, boss, newAPI("meter", up.URL, map[string]int64{"Free": 0, "Never": 7, "Twice": 7}))
	tim := sys.signUp(t, boss, "tim@example.com")
	k := tim.key(t)
	call := func(endpoint string) (a answer) { // as fast as the tier allows
		eventually(t, 5*time.Second, "the rate to allow a call", func() bool {
			a = sys.as(k.Key).post(t, "/v1/meter/"+endpoint, struct{}{})
			return a.status != http.StatusTooManyRequests
		})
		return a
	}
	for i, want := range []string{"0", "0", "0", "1", "1"} {
		if a := call("free"); a.status != 200 || a.header.Get("M3O-Price") != want {
			t.Errorf("free call %d: %d, price %q, want %s", i+1, a.status, a.header.Get("M3O-Price"), want)
		}
	}
	capped := "Request blocked. Usage cap exceeded"
	refusedAs(t, call("never"), 403, "v1.blocked", capped)
	for range 2 {
		if a := call("twice"); a.status != 200 || a.header.Get("M3O-Price") != "7" {
			t.Errorf("under the cap: %d %s, price %q", a.status, a.body, a.header.Get("M3O-Price"))
		}
	}
	refusedAs(t, call("twice"), 403, "v1.blocked", capped)
	if b := tim.balance(t); b.Current != 1_000_000-2-14 {
		t.Errorf("%+v", b)
	}
	count, answers := together(30, func(int) answer { return sys.as(k.Key).post(t, "/v1/meter/free", struct{}{}) })
	if count[429] < 20 || count[200]+count[429] != 30 {
		t.Errorf("30 calls at once at a rate of 5: %v", count)
	}
	for _, a := range answers {
		if a.status == 429 && (a.header.Get("Retry-After") == "" || !strings.Contains(a.header.Get("RateLimit-Policy"), "q=5;w=1")) {
			t.Errorf("429 with %v", a.header)
			break
		}
	}
	done(t, boss, "/billing/SubscribeTier", map[string]string{"id": "open", "customer_id": tim.id})
	count, _ = together(30, func(int) answer { return sys.as(k.Key).post(t, "/v1/meter/twice", struct{}{}) })
	if count[200] != 30 {
		t.Errorf("30 calls at once without a rate or a cap: %v", count)
	}
	tim.addsUp(t, 7)
}

func TestThrottles(t *testing.T) {
	t.Parallel()
	sys := start(t, sqlite(t))
	boss := sys.admin(t)
	amy := sys.signUp(t, boss, "amy@example.com")
	var a answer
	for range 30 {
		if a = sys.post(t, "/customers/Login", map[string]string{"email": amy.email, "password": "guess"}); a.status == 429 {
			break
		}
	}
	refused(t, a, 429)
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	last := 0
	for i := range 70 {
		in := map[string]string{"email": "many" + strings.Repeat("x", i) + "@example.com"}
		if last = sys.post(t, "/signup/User", in).status; last == 429 {
			break
		}
	}
	if last != 429 {
		t.Errorf("70 sign-ups of one client within a minute: the last is answered %d", last)
	}
}

// TestTimeouts waits for the default timeout of an endpoint, 10 seconds.
func TestTimeouts(t *testing.T) {
	if !long() {
		t.Skip("M3O_TEST_LONG is not set")
	}
	t.Parallel()
	sys := start(t, sqlite(t))
	boss := sys.admin(t)
	deaf := newDeaf(t)
	publish(t, boss, newAPI("deaf", deaf.URL, map[string]int64{"Call": 5}))
	tom := sys.signUp(t, boss, "tom@example.com")
	begun := time.Now()
	a := sys.as(tom.key(t).Key).post(t, "/v1/deaf/call", struct{}{})
	refused(t, a, 504)
	if took := time.Since(begun); took < 9*time.Second || took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
	if b := tom.balance(t); b.Current != 1_000_000 {
		t.Errorf("a call that timed out has cost %d", 1_000_000-b.Current)
	}
}
