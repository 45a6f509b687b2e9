package customers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"m3o/internal/auth"
	"m3o/internal/config"
	"m3o/internal/customers"
	"m3o/internal/customers/customersapi"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
)

func TestSignUpMailsACodeThatVerifies(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		must(t, s.SignUp(t.Context(), "  Ada@Example.COM "))
		if n := h.emails.SendCallCount(); n != 1 {
			t.Fatalf("%d mails, want 1", n)
		}
		code := h.code(ada)
		if len(code) != 8 {
			t.Fatalf("code %q has not 8 characters", code)
		}
		v, err := s.Verify(t.Context(), ada, " "+code+" ", password)
		must(t, err)
		if v.Namespace != "micro" || !strings.HasPrefix(v.CustomerID, "cus_") || v.AuthToken.Created != h.now.Unix() || v.AuthToken.Expiry != h.now.Add(time.Hour).Unix() {
			t.Errorf("verified = %+v", v)
		}
		if !h.alive(v.AuthToken.AccessToken) || h.status(v.CustomerID) != "verified" {
			t.Error("the session or the customer is not alive")
		}
		want := []string{"Created", "Verified", "Signup"}
		if diff := cmp.Diff(want, h.facts(v.CustomerID)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSignUpAgainSendsANewCodeAndChangesNothingElse(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		must(t, s.SignUp(t.Context(), ada))
		first := h.code(ada)
		must(t, s.SignUp(t.Context(), ada))
		second := h.code(ada)
		if first == second || h.emails.SendCallCount() != 2 {
			t.Fatalf("codes %s and %s in %d mails", first, second, h.emails.SendCallCount())
		}
		_, err := s.Verify(t.Context(), ada, first, password)
		wantFault(t, err, fault.Forbidden)
		v, err := s.Verify(t.Context(), ada, second, password)
		must(t, err)
		if facts := h.facts(v.CustomerID); !slices.Equal(facts, []string{"Created", "Verified", "Signup"}) {
			t.Errorf("facts = %v", facts)
		}
	})
}

func TestSignUpRefusesAVerifiedAddress(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		h.join(ada)
		err := s.SignUp(t.Context(), "ADA@example.com")
		if f := wantFault(t, err, fault.Invalid); f.ID != "customers.create.exists" {
			t.Errorf("id = %s", f.ID)
		}
		if n := h.emails.SendCallCount(); n != 1 {
			t.Errorf("%d mails, want the first only", n)
		}
	})
}

func TestSignUpRefusesWhatIsNoAddress(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), nil)
	for _, email := range []string{"", " ", "ada", "ada@", "@example.com", "Ada <ada@example.com>", "ada@example.com, bob@example.com",
		"ada@[127.0.0.1]", `"a b"@example.com`, "ada@example.com\r\nBcc: x@y.z", strings.Repeat("a", 65) + "@example.com",
		"ada@" + strings.Repeat("x.", 130) + "com"} {
		f := wantFault(t, h.service.SignUp(t.Context(), email), fault.Invalid)
		if len(f.Fields) != 1 || f.Fields[0].Name != "email" {
			t.Errorf("%q: fields = %v", email, f.Fields)
		}
	}
	must(t, h.service.SignUp(t.Context(), "admin@localhost"))
}

func TestSignUpObeysTheLists(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), config.Map{
		"customers.AllowList": `["@example\\.com$", "^root@"]`,
		"customers.BlockList": `["^bad"]`,
	})
	for email, allowed := range map[string]bool{ada: true, "root@localhost": true, "bad@example.com": false, "BAD@example.com": false, "ada@example.org": false} {
		if err := h.service.SignUp(t.Context(), email); (err == nil) != allowed || err != nil && !fault.Is(err, fault.Forbidden) {
			t.Errorf("%s: %v, want allowed = %t", email, err, allowed)
		}
	}
}

func TestNewNamesABadPattern(t *testing.T) {
	t.Parallel()
	for _, list := range []string{"AllowList", "BlockList"} {
		_, err := customers.New(customers.Deps{Config: config.Map{"customers." + list: `["fine", "("]`}})
		if err == nil || !strings.Contains(err.Error(), list) || !strings.Contains(err.Error(), `entry 2, "("`) {
			t.Errorf("err = %v", err)
		}
	}
}

func TestSignUpIsThrottledByAddress(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d, nil)
		for range 5 {
			must(t, h.service.SignUp(t.Context(), ada))
		}
		f := wantFault(t, h.service.SignUp(t.Context(), ada), fault.Limited)
		if f.RetryAfter != 12*time.Minute || h.emails.SendCallCount() != 5 {
			t.Errorf("retry after %s, %d mails", f.RetryAfter, h.emails.SendCallCount())
		}
		wantFault(t, h.service.Recover(t.Context(), ada), fault.Limited)
		must(t, h.service.SignUp(t.Context(), "bob@example.com"))
		h.pass(f.RetryAfter)
		must(t, h.service.SignUp(t.Context(), ada))
		wantFault(t, h.service.SignUp(t.Context(), ada), fault.Limited)
		h.pass(time.Hour)
		must(t, h.service.Sweep(t.Context()))
		must(t, h.service.SignUp(t.Context(), ada))
	})
}

func TestParallelSignUpsOfAnAddressAreCounted(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d, config.Map{"customers.SignUpsPerAddress": "5"})
		h.tick = time.Millisecond
		for round := range 10 {
			email := fmt.Sprintf("ada%d@example.com", round)
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() {
					if err := h.service.SignUp(t.Context(), email); err != nil {
						t.Errorf("%s: of 5 sign-ups at once, one: %v", email, err)
					}
				})
			}
			wg.Wait()
			wantFault(t, h.service.SignUp(t.Context(), email), fault.Limited)
		}
	})
}

func TestSignUpIsThrottledByClient(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), config.Map{"customers.SignUpsPerClient": "2"})
	signUp := func(client, email string) error {
		return h.service.SignUp(auth.WithClient(t.Context(), client), email)
	}
	must(t, signUp("192.0.2.1", "a@example.com"))
	must(t, h.service.Recover(auth.WithClient(t.Context(), "192.0.2.1"), "b@example.com"))
	if f := wantFault(t, signUp("192.0.2.1", "c@example.com"), fault.Limited); f.RetryAfter != 30*time.Second {
		t.Errorf("retry after %s", f.RetryAfter)
	}
	must(t, signUp("192.0.2.2", "c@example.com"))
	must(t, signUp("2001:db8::1", "d@example.com"))
	must(t, signUp("2001:db8::2", "e@example.com"))
	wantFault(t, signUp("2001:db8::3", "f@example.com"), fault.Limited)
	h.pass(30 * time.Second)
	must(t, signUp("192.0.2.1", "f@example.com"))
}

func TestSignUpSaysSoWhenTheMailCannotBeSent(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), nil)
	h.emails.SendReturnsOnCall(0, "", errors.New("disk full"))
	wantFault(t, h.service.SignUp(t.Context(), ada), fault.Unavailable)
	must(t, h.service.SignUp(t.Context(), ada))
}

func TestVerifyRefusesAWrongCode(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		must(t, s.SignUp(t.Context(), ada))
		for _, c := range []struct{ email, code string }{{ada, ""}, {ada, "AAAAAAAA"}, {"nobody@example.com", h.code(ada)}} {
			_, err := s.Verify(t.Context(), c.email, c.code, password)
			if f := wantFault(t, err, fault.Forbidden); f.Detail != "The token you provided is invalid" {
				t.Errorf("detail = %s", f.Detail)
			}
		}
	})
}

func TestACodeExpires(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		must(t, s.SignUp(t.Context(), ada))
		h.pass(5 * time.Minute)
		_, err := s.Verify(t.Context(), ada, h.code(ada), password)
		if f := wantFault(t, err, fault.Forbidden); f.Detail != "The token you provided has expired" {
			t.Errorf("detail = %s", f.Detail)
		}
	})
}

func TestACodeIsVoidAfterFiveWrongTries(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d, nil)
		must(t, h.service.SignUp(t.Context(), ada))
		for range 4 {
			_, err := h.service.Verify(t.Context(), ada, "AAAAAAAA", password)
			wantFault(t, err, fault.Forbidden)
		}
		_, err := h.service.Verify(t.Context(), ada, h.code(ada), "weak")
		wantFault(t, err, fault.Invalid) // costs no try
		_, err = h.service.Verify(t.Context(), ada, "AAAAAAAA", password)
		wantFault(t, err, fault.Forbidden)
		_, err = h.service.Verify(t.Context(), ada, h.code(ada), password)
		wantFault(t, err, fault.Forbidden)
		must(t, h.service.SignUp(t.Context(), ada)) // a new code has its own tries
		_, err = h.service.Verify(t.Context(), ada, h.code(ada), password)
		must(t, err)
	})
}

func TestACodeWorksOnceAlsoInParallel(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d, nil)
		must(t, h.service.SignUp(t.Context(), ada))
		code := h.code(ada)
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			wg.Go(func() { _, errs[i] = h.service.Verify(t.Context(), ada, code, password) })
		}
		wg.Wait()
		good := 0
		for _, err := range errs {
			if err == nil {
				good++
			} else if !fault.Is(err, fault.Forbidden) {
				t.Error(err)
			}
		}
		if good != 1 {
			t.Errorf("%d of 4 verified", good)
		}
	})
}

func TestWeakPasswordsAreRefused(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), nil)
	must(t, h.service.SignUp(t.Context(), "adalovelace@example.com"))
	code := h.code("adalovelace@example.com")
	for _, weak := range []string{"", "short", "aaaaaaaaaaaa", "ääääääää", "AdaLovelace@example.com", "ADALOVELACE", "password", "Qwerty123", "12345678", strings.Repeat("long", 300)} {
		_, err := h.service.Verify(t.Context(), "adalovelace@example.com", code, weak)
		if f := wantFault(t, err, fault.Invalid); len(f.Fields) != 1 || f.Fields[0].Name != "secret" {
			t.Errorf("%q: fields = %v", weak, f.Fields)
		}
	}
	f := wantFault(t, h.service.ResetPassword(t.Context(), ada, "x", "short"), fault.Invalid)
	if f.Fields[0].Name != "password" {
		t.Errorf("fields = %v", f.Fields)
	}
}

func TestResetPasswordEndsEverySession(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		v := h.join(ada)
		must(t, s.Recover(t.Context(), "Ada@example.com"))
		code := h.code(ada)
		must(t, s.ResetPassword(h.as(v.AuthToken.AccessToken), ada, code, "another good one"))
		if h.alive(v.AuthToken.AccessToken) {
			t.Error("the caller's session outlived the reset")
		}
		_, err := s.Login(t.Context(), "", "", v.AuthToken.RefreshToken)
		wantFault(t, err, fault.Unauthenticated)
		_, err = s.Login(t.Context(), ada, password, "")
		wantFault(t, err, fault.Unauthenticated)
		_, err = s.Login(t.Context(), ada, "another good one", "")
		must(t, err)
		wantFault(t, s.ResetPassword(t.Context(), ada, code, "a third good one"), fault.Forbidden)
		if facts := h.facts(v.CustomerID); !slices.Contains(facts, "PasswordReset") {
			t.Errorf("facts = %v", facts)
		}
	})
}

func TestARecoveryCodeExpires(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), nil)
	h.join(ada)
	must(t, h.service.Recover(t.Context(), ada))
	h.pass(10 * time.Minute)
	wantFault(t, h.service.ResetPassword(t.Context(), ada, h.code(ada), password), fault.Forbidden)
}

func TestRecoverMailsVerifiedCustomersOnly(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		ctx, _ := h.admin()
		banned := h.join("banned@example.com")
		must(t, h.service.Ban(ctx, banned.CustomerID, ""))
		must(t, h.service.SignUp(t.Context(), "unverified@example.com"))
		before := h.emails.SendCallCount()
		for _, email := range []string{"nobody@example.com", "banned@example.com", "unverified@example.com"} {
			must(t, s.Recover(t.Context(), email))
		}
		if n := h.emails.SendCallCount() - before; n != 0 {
			t.Errorf("%d mails", n)
		}
	})
}

func TestRecoverLeavesTheSameTracksForAnUnknownAddress(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), nil)
	h.join(ada)
	tries := func(email string) (n int) {
		must(t, h.service.Recover(t.Context(), email))
		wantFault(t, h.service.ResetPassword(t.Context(), email, "AAAAAAAA", password), fault.Forbidden)
		must(t, h.db.QueryRow(t.Context(), `SELECT tries FROM customers_codes WHERE email = $1`, email).Scan(&n))
		return n
	}
	if known, unknown := tries(ada), tries("nobody@example.com"); known != 1 || unknown != 1 {
		t.Errorf("known %d, unknown %d tries", known, unknown)
	}
}

func TestNothingSecretIsLoggedOrStored(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), nil)
	v := h.join(ada)
	must(t, h.service.Recover(t.Context(), ada))
	secrets := []string{password, v.AuthToken.AccessToken, v.AuthToken.RefreshToken, h.code(ada)}
	token, err := h.service.Login(t.Context(), "", "", v.AuthToken.RefreshToken)
	must(t, err)
	_, err = h.service.Login(t.Context(), "", "", v.AuthToken.RefreshToken)
	wantFault(t, err, fault.Unauthenticated)
	stored := h.log.String() + dump(t, h.db)
	for _, secret := range append(secrets, token.AccessToken, token.RefreshToken) {
		if strings.Contains(stored, secret) {
			t.Errorf("found %q in log or database", secret)
		}
	}
	if !strings.Contains(h.log.String(), v.CustomerID) {
		t.Error("the reuse was not logged")
	}
}

// dump is the text of every row the service has.
func dump(t *testing.T, d *db.DB) string {
	t.Helper()
	var all strings.Builder
	for _, table := range []string{"customers", "customers_sessions", "customers_spent", "customers_codes", "throttles", "outbox"} {
		rows, err := d.Query(context.Background(), "SELECT * FROM "+table)
		must(t, err)
		names, err := rows.Columns()
		must(t, err)
		for rows.Next() {
			values := make([]any, len(names))
			for i := range values {
				values[i] = new(any)
			}
			must(t, rows.Scan(values...))
			for _, v := range values {
				fmt.Fprintf(&all, "%s ", *v.(*any))
			}
		}
		must(t, rows.Close())
	}
	if all.Len() == 0 {
		t.Fatal("nothing is stored")
	}
	return all.String()
}
