package users_test

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/config"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
	"m3o/internal/shop/users/usersapi"
)

func TestATokenSaysWhoseItIs(t *testing.T) {
	each(t, func(t *testing.T, s usersapi.Service, h *house) {
		u := h.register(ada, usersapi.TypeAdmin)
		token, err := s.Login(t.Context(), "ADA@Example.com", password)
		must(t, err)
		claims := jwt.MapClaims{}
		parsed, _, err := jwt.NewParser().ParseUnverified(token, claims)
		must(t, err)
		if parsed.Header["alg"] != "HS256" || parsed.Header["typ"] != "JWT" {
			t.Errorf("header %v", parsed.Header)
		}
		now := h.clock()
		for name, want := range map[string]any{
			"user_type": 1.0, "id": u.ID, "iss": "m3o", "sub": ada, "iat": float64(now.Unix()), "exp": float64(now.Add(7 * 24 * time.Hour).Unix()),
		} {
			if claims[name] != want {
				t.Errorf("%s = %v, want %v", name, claims[name], want)
			}
		}
		account, err := s.Authenticate(t.Context(), token)
		want := usersapi.ShopAccount{ID: u.ID, Type: usersapi.TypeAdmin, Email: ada, TokenID: fmt.Sprint(claims["jti"]), Expires: now.Add(7 * 24 * time.Hour)}
		if err != nil || account != want {
			t.Errorf("got %+v, %v, want %+v", account, err, want)
		}
		if caller := account.Caller(); caller != (auth.Account{ID: u.ID, Type: auth.TypeShopAdmin, Session: account.TokenID}) || caller.IsAdmin() {
			t.Errorf("the caller is %+v", caller)
		}
	})
}

// forge is a token with these claims, under the key of the house unless another is given.
func forge(t testing.TB, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	if key == nil {
		derived, err := hkdf.Key(sha256.New, []byte(secret), nil, "m3o shop token HS256", 32)
		must(t, err)
		key = derived
	}
	token, err := jwt.NewWithClaims(method, claims).SignedString(key)
	must(t, err)
	return token
}

func TestABadTokenIsRefused(t *testing.T) {
	each(t, func(t *testing.T, s usersapi.Service, h *house) {
		u := h.register(ada, 0)
		claims := func(change ...any) jwt.MapClaims {
			c := jwt.MapClaims{"id": u.ID, "iss": "m3o", "sub": ada, "jti": "tok_1", "ver": 0, "user_type": 0, "exp": h.clock().Add(time.Hour).Unix()}
			for i := 0; i+1 < len(change); i += 2 {
				if name := fmt.Sprint(change[i]); change[i+1] == nil {
					delete(c, name)
				} else {
					c[name] = change[i+1]
				}
			}
			return c
		}
		if good := forge(t, jwt.SigningMethodHS256, nil, claims()); !h.alive(s, good) {
			t.Fatal("not even a good one is taken: the others show nothing")
		}
		good := h.login(ada)
		head, rest, _ := strings.Cut(good, ".")
		body, signature, _ := strings.Cut(rest, ".")
		for name, token := range map[string]string{
			"empty":                "",
			"no token":             "nonsense",
			"bearer":               "Bearer " + good,
			"endless":              good + strings.Repeat("x", 1<<20),
			"without a signature":  head + "." + body + ".",
			"of two parts":         head + "." + body,
			"another's signature":  head + "." + strings.Split(forge(t, jwt.SigningMethodHS256, nil, claims("id", "usr_x")), ".")[1] + "." + signature,
			"alg none":             forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims()),
			"another alg":          forge(t, jwt.SigningMethodHS512, nil, claims()),
			"another key":          forge(t, jwt.SigningMethodHS256, []byte("another key"), claims()),
			"the secret itself":    forge(t, jwt.SigningMethodHS256, []byte(secret), claims()),
			"another issuer":       forge(t, jwt.SigningMethodHS256, nil, claims("iss", "ary82.dev")),
			"no issuer":            forge(t, jwt.SigningMethodHS256, nil, claims("iss", nil)),
			"no end":               forge(t, jwt.SigningMethodHS256, nil, claims("exp", nil)),
			"expired":              forge(t, jwt.SigningMethodHS256, nil, claims("exp", h.clock().Unix())),
			"nobody's":             forge(t, jwt.SigningMethodHS256, nil, claims("id", "usr_none", "jti", "tok_2")),
			"of an older version":  forge(t, jwt.SigningMethodHS256, nil, claims("ver", -1, "jti", "tok_3")),
			"of a version to come": forge(t, jwt.SigningMethodHS256, nil, claims("ver", 1, "jti", "tok_4")),
		} {
			account, err := s.Authenticate(t.Context(), token)
			if f := fault.From(err); !fault.Is(err, fault.Unauthenticated) || account != (usersapi.ShopAccount{}) || strings.Contains(f.Detail, "alg") {
				t.Errorf("%s: %+v, %v", name, account, err)
			}
		}
	})
}

func TestATokenExpires(t *testing.T) {
	each(t, func(t *testing.T, s usersapi.Service, h *house) {
		h.register(ada, 0)
		token := h.login(ada)
		h.pass(7*24*time.Hour - time.Second)
		if !h.alive(s, token) {
			t.Error("it has ended a second early")
		}
		h.pass(time.Second)
		if h.alive(s, token) {
			t.Error("it lives on, if only in memory")
		}
		must(t, s.Logout(t.Context(), token))
	})
}

func TestAWrongPasswordAndAnUnknownAddressAreTheSame(t *testing.T) {
	each(t, func(t *testing.T, s usersapi.Service, h *house) {
		h.register(ada, 0)
		_, wrong := s.Login(t.Context(), ada, "not the password")
		_, unknown := s.Login(t.Context(), "nobody@example.com", password)
		w, u := wantFault(t, wrong, fault.Unauthenticated), wantFault(t, unknown, fault.Unauthenticated)
		if w.Detail != u.Detail || w.ID != u.ID {
			t.Errorf("%v, %v", w, u)
		}
		for _, bad := range []string{"", strings.Repeat("x", 1<<20), "\x00"} {
			_, err := s.Login(t.Context(), ada, bad)
			wantFault(t, err, fault.Unauthenticated)
		}
		_, err := s.Login(t.Context(), "EMAIL", password)
		wantFault(t, err, fault.Invalid)
	})
}

// An unknown address must not be refused without a hash being made. The best of some tries is free of what else the machine
// does: a hash of this size takes more than 5 ms on any machine, all the rest of a login less.
func TestAnUnknownAddressTakesAsLong(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), config.Map{"shop.LoginsPerAddress": "1000"})
	shortest := time.Hour
	for range 10 {
		began := time.Now()
		_, err := h.service.Login(t.Context(), "nobody@example.com", "not the password")
		shortest = min(shortest, time.Since(began))
		wantFault(t, err, fault.Unauthenticated)
	}
	if shortest < 5*time.Millisecond {
		t.Errorf("an unknown address is refused in %s: no hash was made", shortest)
	}
}

func TestGuessesAreBounded(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d, config.Map{"shop.LoginsPerAddress": "3", "shop.LoginsPerClient": "5"})
		h.register(ada, 0)
		login := func(client, email, password string) error {
			_, err := h.service.Login(auth.WithClient(t.Context(), client), email, password)
			return err
		}
		for range 4 {
			must(t, login("192.0.2.1", ada, password)) // who knows it is not counted
		}
		for email, client := range map[string]string{ada: "192.0.2.1", "nobody@example.com": "192.0.2.2"} {
			for range 3 {
				wantFault(t, login(client, email, "guess"), fault.Unauthenticated)
			}
			if f := wantFault(t, login(client, email, password), fault.Limited); f.RetryAfter <= 0 {
				t.Errorf("%s: it is not said when to try again", email)
			}
		}
		must(t, login("198.51.100.1", ada, password)) // the owner, from elsewhere
		h.pass(5 * time.Minute)
		must(t, login("192.0.2.1", ada, password))
	})
}

func TestOnePasswordIsNotTriedOnEverybody(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), config.Map{"shop.LoginsPerClient": "5"})
	for i := range 6 {
		client := fmt.Sprintf("2001:db8::%d", i) // one line
		_, err := h.service.Login(auth.WithClient(t.Context(), client), fmt.Sprintf("user%d@example.com", i), "guess the one")
		if want := map[bool]fault.Code{true: fault.Unauthenticated, false: fault.Limited}[i < 5]; !fault.Is(err, want) {
			t.Errorf("guess %d: %v, want %s", i, err, want)
		}
	}
}

func TestARevokedTokenIsRefusedEverywhere(t *testing.T) {
	each(t, func(t *testing.T, s usersapi.Service, h *house) {
		u := h.register(ada, 0)
		another := h.replica(h.bus)
		token, other := h.login(ada), h.login(ada)
		for _, replica := range []usersapi.Service{s, h.service, another} {
			if !h.alive(replica, token) || !h.alive(replica, other) {
				t.Fatal("a fresh token is refused")
			}
		}
		account, err := h.service.Authenticate(t.Context(), token)
		must(t, err)
		must(t, s.Logout(t.Context(), token))
		for _, replica := range []usersapi.Service{s, h.service, another} {
			if h.alive(replica, token) {
				t.Error("the revoked token lives")
			}
			if !h.alive(replica, other) {
				t.Error("the other one has ended too")
			}
		}
		if h.lastTold() != [2]string{u.ID, account.TokenID} {
			t.Errorf("told %v", h.lastTold())
		}
		must(t, s.Logout(t.Context(), token))
		wantFault(t, s.Logout(t.Context(), "nonsense"), fault.Unauthenticated)
		must(t, h.service.Sweep(t.Context()))
		if h.alive(h.service, token) {
			t.Error("a sweep has revived it")
		}
	})
}

func TestWhoeverCannotForgetIsReported(t *testing.T) {
	each(t, func(t *testing.T, s usersapi.Service, h *house) {
		h.register(ada, 0)
		token := h.login(ada)
		h.deaf(errors.New("no"))
		wantFault(t, s.Logout(t.Context(), token), fault.Unavailable)
		if h.alive(h.service, token) {
			t.Error("the change does not stand")
		}
		h.deaf(nil)
		must(t, s.Logout(t.Context(), token))
	})
}

// A replica on a bus of its own hears nothing.
func TestALostMessageIsMadeUpForInASecond(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d, nil)
		h.register(ada, 0)
		cutOff := h.replica(bus.NewMemory(bus.MemoryConfig{Logger: slog.New(slog.DiscardHandler)}))
		token := h.login(ada)
		if !h.alive(cutOff, token) {
			t.Fatal("a fresh token is refused")
		}
		must(t, h.service.Logout(t.Context(), token))
		h.pass(time.Second)
		if h.alive(cutOff, token) {
			t.Error("the revoked token lives after a second")
		}
	})
}

// What is not known is not guessed.
func TestNobodyIsLetInWithoutTheStore(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), nil)
	h.register(ada, 0)
	token := h.login(ada)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.service.Authenticate(ctx, token); err == nil || fault.Is(err, fault.Unauthenticated) {
		t.Errorf("err = %v", err)
	}
}

func TestAnotherPasswordEndsTheTokens(t *testing.T) {
	each(t, func(t *testing.T, s usersapi.Service, h *house) {
		admin, user, other := h.register("root@example.com", usersapi.TypeAdmin), h.register(ada, 0), h.register("other@example.com", 0)
		token, others := h.login(ada), h.login("other@example.com")
		wantFault(t, s.ChangePassword(t.Context(), "", password, "another password"), fault.Unauthenticated)
		wantFault(t, s.ChangePassword(h.as(user), "", "not the password", "another password"), fault.Unauthenticated)
		wantFault(t, s.ChangePassword(h.as(user), other.ID, password, "another password"), fault.Forbidden)
		wantFault(t, s.ChangePassword(h.as(admin), "usr_none", "", "another password"), fault.NotFound)
		if f := wantFault(t, s.ChangePassword(h.as(user), "", password, "short"), fault.Invalid); f.Fields[0].Name != "new_password" {
			t.Errorf("fields %v", f.Fields)
		}
		if !h.alive(h.service, token) {
			t.Error("what was refused has ended the token")
		}
		must(t, s.ChangePassword(h.as(user), user.ID, password, "another password"))
		if h.alive(h.service, token) || !h.alive(h.service, others) || h.lastTold() != [2]string{user.ID, ""} {
			t.Errorf("the wrong tokens have ended, told %v", h.lastTold())
		}
		_, err := s.Login(t.Context(), ada, password)
		wantFault(t, err, fault.Unauthenticated)
		must(t, s.ChangePassword(h.as(admin), user.ID, "", password))
		if !h.alive(h.service, h.login(ada)) {
			t.Error("the password that the admin set does not log in")
		}
	})
}

func TestRevocationsEndWithTheirTokens(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d, nil)
		h.register(ada, 0)
		must(t, h.service.Logout(t.Context(), h.login(ada)))
		count := func() (n int) {
			must(t, d.QueryRow(t.Context(), `SELECT COUNT(*) FROM users_revoked`).Scan(&n))
			return n
		}
		h.pass(7*24*time.Hour - time.Second)
		must(t, h.service.Sweep(t.Context()))
		if count() != 1 {
			t.Error("it was swept early")
		}
		h.pass(time.Second)
		must(t, h.service.Sweep(t.Context()))
		if count() != 0 {
			t.Error("it is still there")
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	h := setup(b, dbtest.SQLite(b), nil)
	h.register(ada, 0)
	token := h.login(ada)
	for b.Loop() {
		if _, err := h.service.Authenticate(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
