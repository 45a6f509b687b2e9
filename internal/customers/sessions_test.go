package customers_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"m3o/internal/auth"
	"m3o/internal/config"
	"m3o/internal/customers/customersapi"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
)

func TestLoginByPassword(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		v := h.join(ada)
		token, err := s.Login(t.Context(), " ADA@example.com", password, "")
		must(t, err)
		if !strings.HasPrefix(token.AccessToken, "m3o_at_") || !strings.HasPrefix(token.RefreshToken, "m3o_rt_") || token.Expiry != h.now.Add(time.Hour).Unix() {
			t.Errorf("token = %+v", token)
		}
		if !h.alive(token.AccessToken) || !h.alive(v.AuthToken.AccessToken) {
			t.Error("both sessions should be alive")
		}
		if facts := h.facts(v.CustomerID); facts[len(facts)-1] != "Login" {
			t.Errorf("facts = %v", facts)
		}
	})
}

func TestLoginTellsUnknownFromWrongNeither(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		ctx, _ := h.admin()
		h.join(ada)
		banned := h.join("banned@example.com")
		must(t, h.service.Ban(ctx, banned.CustomerID, ""))
		must(t, h.service.SignUp(t.Context(), "unverified@example.com"))
		for email, given := range map[string]string{ada: "wrong password", "nobody@example.com": password, "banned@example.com": password, "unverified@example.com": ""} {
			_, err := s.Login(t.Context(), email, given, "")
			f := wantFault(t, err, fault.Unauthenticated)
			if f.ID != "customers.Login" || f.Detail != "Unauthorized: wrong address or password" {
				t.Errorf("%s: %v", email, f)
			}
		}
		_, err := s.Login(t.Context(), "", "", "")
		wantFault(t, err, fault.Invalid)
	})
}

func TestLoginTakesTheSameTimeForAnUnknownAddress(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), nil)
	h.join(ada)
	least := time.Hour
	for range 5 {
		begin := time.Now()
		_, err := h.service.Login(t.Context(), "nobody@example.com", "wrong password", "")
		wantFault(t, err, fault.Unauthenticated)
		least = min(least, time.Since(begin))
	}
	if least < 5*time.Millisecond { // a hash takes tens of them, all else less than one
		t.Errorf("an unknown address is refused within %s: no hash was made for it", least)
	}
}

func TestFailedLoginsAreThrottledByAddress(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d, config.Map{"customers.LoginsPerAddress": "3"})
		h.join(ada)
		for range 5 {
			_, err := h.service.Login(t.Context(), ada, password, "")
			must(t, err) // successes do not count
		}
		for range 3 {
			_, err := h.service.Login(t.Context(), ada, "wrong password", "")
			wantFault(t, err, fault.Unauthenticated)
		}
		_, err := h.service.Login(t.Context(), ada, password, "")
		f := wantFault(t, err, fault.Limited)
		h.pass(f.RetryAfter)
		_, err = h.service.Login(t.Context(), ada, password, "")
		must(t, err)
		for range 3 {
			_, err := h.service.Login(t.Context(), "nobody@example.com", password, "")
			wantFault(t, err, fault.Unauthenticated)
		}
		_, err = h.service.Login(t.Context(), "nobody@example.com", password, "")
		wantFault(t, err, fault.Limited) // the same for an address that nobody has
	})
}

func TestAStrangersGuessesDoNotKeepTheOwnerOut(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d, config.Map{"customers.LoginsPerAddress": "3"})
		h.join(ada)
		owner, stranger := auth.WithClient(t.Context(), "192.0.2.1"), auth.WithClient(t.Context(), "198.51.100.1")
		for range 3 {
			_, err := h.service.Login(stranger, ada, "wrong password", "")
			wantFault(t, err, fault.Unauthenticated)
		}
		for range 40 { // what is refused at once is no failure of the address
			_, err := h.service.Login(stranger, ada, password, "")
			wantFault(t, err, fault.Limited)
		}
		_, err := h.service.Login(owner, ada, password, "")
		must(t, err)
	})
}

func TestFailedLoginsOfAllClientsTogetherAreThrottledToo(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d, config.Map{"customers.LoginsPerAddress": "1"})
		h.join(ada)
		from := func(client int) error {
			_, err := h.service.Login(auth.WithClient(t.Context(), fmt.Sprintf("192.0.2.%d", client)), ada, "wrong password", "")
			return err
		}
		for client := range 10 {
			wantFault(t, from(client), fault.Unauthenticated)
		}
		f := wantFault(t, from(10), fault.Limited)
		h.pass(f.RetryAfter)
		wantFault(t, from(10), fault.Unauthenticated) // the refusal has not used the client's own allowance
		_, err := h.service.Login(auth.WithClient(t.Context(), "192.0.2.11"), "nobody@example.com", password, "")
		wantFault(t, err, fault.Unauthenticated) // another address has its own
	})
}

func TestAResetLiftsTheThrottleOfLogins(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), config.Map{"customers.LoginsPerAddress": "2"})
	h.join(ada)
	for range 2 {
		_, err := h.service.Login(t.Context(), ada, "wrong password", "")
		wantFault(t, err, fault.Unauthenticated)
	}
	must(t, h.service.Recover(t.Context(), ada))
	must(t, h.service.ResetPassword(t.Context(), ada, h.code(ada), "another good one"))
	_, err := h.service.Login(t.Context(), ada, "wrong password", "")
	wantFault(t, err, fault.Unauthenticated)
	_, err = h.service.Login(t.Context(), ada, "another good one", "")
	must(t, err)
}

func TestParallelGuessesAreCounted(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d, config.Map{"customers.LoginsPerAddress": "3"})
		h.join(ada)
		h.tick = time.Millisecond
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() { _, errs[i] = h.service.Login(t.Context(), ada, "wrong password", "") })
		}
		wg.Wait()
		guesses := 0
		for _, err := range errs {
			if fault.Is(err, fault.Unauthenticated) {
				guesses++
			}
		}
		if guesses != 3 {
			t.Errorf("%d guesses were looked at, want 3", guesses)
		}
	})
}

func TestLoginsAreThrottledByClient(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), config.Map{"customers.LoginsPerClient": "1"})
	h.join(ada)
	ctx := auth.WithClient(t.Context(), "192.0.2.1")
	_, err := h.service.Login(ctx, ada, password, "")
	must(t, err)
	_, err = h.service.Login(ctx, ada, password, "")
	wantFault(t, err, fault.Limited)
	h.pass(time.Minute)
	_, err = h.service.Login(ctx, ada, password, "")
	must(t, err)
}

func TestRefreshRotatesBothTokens(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		v := h.join(ada)
		h.pass(2 * time.Hour)
		if h.alive(v.AuthToken.AccessToken) {
			t.Error("the access token outlived its hour")
		}
		token, err := s.Login(t.Context(), "", "", v.AuthToken.RefreshToken)
		must(t, err)
		if !h.alive(token.AccessToken) || h.alive(v.AuthToken.AccessToken) {
			t.Error("want the new access token alive, the old one dead")
		}
		_, err = s.Login(t.Context(), "", "", token.RefreshToken)
		must(t, err)
		if facts := h.facts(v.CustomerID); facts[len(facts)-1] != "TokenRefresh" {
			t.Errorf("facts = %v", facts)
		}
	})
}

func TestAReusedRefreshTokenEndsItsSession(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		v := h.join(ada)
		other, err := s.Login(t.Context(), ada, password, "")
		must(t, err)
		token, err := s.Login(t.Context(), "", "", v.AuthToken.RefreshToken)
		must(t, err)
		_, err = s.Login(t.Context(), "", "", v.AuthToken.RefreshToken)
		wantFault(t, err, fault.Unauthenticated)
		if h.alive(token.AccessToken) || !h.alive(other.AccessToken) {
			t.Error("want that session dead, the other alive")
		}
		_, err = s.Login(t.Context(), "", "", token.RefreshToken)
		wantFault(t, err, fault.Unauthenticated)
	})
}

func TestARepeatedDeliveryOfARefreshGetsTheStoredAnswer(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d, nil)
		v := h.join(ada)
		deliver := func(key string) *httptest.ResponseRecorder {
			return h.login(key, `{"refresh_token":"`+v.AuthToken.RefreshToken+`"}`)
		}
		first, again := deliver("k1"), deliver("k1")
		if first.Code != 200 || again.Body.String() != first.Body.String() || again.Header().Get("Idempotency-Replayed") != "true" {
			t.Errorf("first %d %s, again %d %s", first.Code, first.Body, again.Code, again.Body)
		}
		if stolen := deliver("k2"); stolen.Code != 401 {
			t.Errorf("under another key: %d %s", stolen.Code, stolen.Body)
		}
	})
}

// login delivers a request for Login under an Idempotency-Key.
func (h *house) login(key, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "https://customers/login", strings.NewReader(body))
	r.Header.Set("Idempotency-Key", key)
	w := httptest.NewRecorder()
	for _, route := range customersapi.Routes(h.service) {
		if route.Name == "Login" {
			route.Handler.ServeHTTP(w, r)
		}
	}
	return w
}

func TestRepeatedDeliveriesOfALoginAreNotFailures(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), config.Map{"customers.LoginsPerAddress": "2"})
	h.join(ada)
	for range 4 {
		if w := h.login("k", `{"email":"`+ada+`","password":"`+password+`"}`); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
}

func TestOfParallelRefreshesOneWinsAndTheSessionEnds(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d, nil)
		v := h.join(ada)
		var wg sync.WaitGroup
		tokens, errs := make([]customersapi.Token, 4), make([]error, 4)
		for i := range errs {
			wg.Go(func() { tokens[i], errs[i] = h.service.Login(t.Context(), "", "", v.AuthToken.RefreshToken) })
		}
		wg.Wait()
		won := slices.IndexFunc(errs, func(err error) bool { return err == nil })
		if won < 0 {
			t.Fatal(errs)
		}
		for i, err := range errs {
			if i != won {
				wantFault(t, err, fault.Unauthenticated)
			}
		}
		if h.alive(tokens[won].AccessToken) {
			t.Error("the session outlived the reuse of its token")
		}
	})
}

func TestARefreshTokenExpires(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), nil)
	v := h.join(ada)
	h.pass(720 * time.Hour)
	_, err := h.service.Login(t.Context(), "", "", v.AuthToken.RefreshToken)
	wantFault(t, err, fault.Unauthenticated)
	must(t, h.service.Sweep(t.Context()))
	if n := count(t, h.db, "customers_sessions"); n != 0 {
		t.Errorf("%d sessions after the sweep", n)
	}
}

func count(t *testing.T, d *db.DB, table string) (n int) {
	t.Helper()
	must(t, d.QueryRow(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n))
	return n
}

func TestLogoutEndsTheSessionThatCalls(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		v := h.join(ada)
		other, err := s.Login(t.Context(), ada, password, "")
		must(t, err)
		ctx := h.as(v.AuthToken.AccessToken)
		must(t, s.Logout(ctx))
		must(t, s.Logout(ctx))
		if h.alive(v.AuthToken.AccessToken) || !h.alive(other.AccessToken) {
			t.Error("want that session dead, the other alive")
		}
		_, err = s.Login(t.Context(), "", "", v.AuthToken.RefreshToken)
		wantFault(t, err, fault.Unauthenticated)
		facts := h.facts(v.CustomerID)
		if n := len(facts); facts[n-1] != "Logout" || facts[n-2] == "Logout" {
			t.Errorf("facts = %v", facts)
		}
		wantFault(t, s.Logout(t.Context()), fault.Unauthenticated)
	})
}

func TestInspectSaysWhoCalls(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		v := h.join(ada)
		account, err := s.Inspect(h.as(v.AuthToken.AccessToken))
		must(t, err)
		want := customersapi.Account{ID: v.CustomerID, Email: ada, Type: "customer", Scopes: []string{"customer"}}
		if diff := cmp.Diff(want, account); diff != "" {
			t.Error(diff)
		}
		admin, id := h.admin()
		account, err = s.Inspect(admin)
		must(t, err)
		want = customersapi.Account{ID: id, Email: "root@example.com", Name: "Root", Type: "user", Scopes: []string{"admin"}}
		if diff := cmp.Diff(want, account); diff != "" {
			t.Error(diff)
		}
		_, err = s.Inspect(t.Context())
		wantFault(t, err, fault.Unauthenticated)
	})
}

func TestAuthenticateFindsTheSession(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		v := h.join(ada)
		found, err := s.Authenticate(t.Context(), v.AuthToken.AccessToken)
		must(t, err)
		if found.CustomerID != v.CustomerID || found.Admin || found.Expires.Unix() != v.AuthToken.Expiry || found.ID == "" {
			t.Errorf("session = %+v", found)
		}
		for _, token := range []string{"", "x", v.AuthToken.RefreshToken, v.AuthToken.AccessToken[:38] + "_", v.AuthToken.AccessToken + "x"} {
			_, err := s.Authenticate(t.Context(), token)
			wantFault(t, err, fault.Unauthenticated)
		}
		_, _, err = s.Provision(t.Context(), "root@example.com", password, "", true)
		must(t, err)
		token, err := s.Login(t.Context(), "root@example.com", password, "")
		must(t, err)
		if found, err = s.Authenticate(t.Context(), token.AccessToken); err != nil || !found.Admin {
			t.Errorf("session = %+v, %v", found, err)
		}
	})
}
