package identity

import (
	"context"
	"strings"
	"testing"

	"m3o/internal/fault"
)

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"ada@example.com", " A@B ", "Ada <a@b>", "a@[::1]", "\"a\"@b", "a@b (c)", "ü@ü", "a@b\r\nc", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, email string) {
		address, err := ParseAddress(email)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%q: %v", email, err)
			}
			return
		}
		if again, err := ParseAddress(address); err != nil || again != address {
			t.Errorf("%q became %q, which became %q, %v", email, address, again, err)
		}
		if strings.ContainsAny(address, "\r\n \"<>") {
			t.Errorf("%q became %q", email, address)
		}
	})
}

func FuzzParsePHC(f *testing.F) {
	f.Add(phc(make([]byte, saltLength), make([]byte, hashLength)))
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$$")
	f.Add("")
	f.Fuzz(func(t *testing.T, stored string) {
		salt, key, ok := parsePHC(stored)
		if !ok {
			return
		}
		if again := phc(salt, key); len(key) != hashLength || len(again) > len(stored) {
			t.Errorf("%q was read as %q", stored, again)
		}
	})
}

const address = "ada@example.com"

func TestAGuessablePasswordIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		password string
		length   bool // CheckLength refuses it too
		ok       bool
	}{
		"Good":        {password: "correct horse battery", ok: true},
		"EightRunes":  {password: "äöüÄÖÜßé", ok: true},
		"Short":       {password: "1234567", length: true},
		"Endless":     {password: strings.Repeat("ab", 513), length: true},
		"OneRepeated": {password: "aaaaaaaaaa"},
		"Address":     {password: "ADA@example.com"},
		"Common":      {password: "Password123"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := CheckPassword("password", test.password, address); (err == nil) != test.ok || err != nil && !fault.Is(err, fault.Invalid) {
				t.Errorf("CheckPassword: %v", err)
			}
			if err := CheckLength("password", test.password); (err != nil) != test.length {
				t.Errorf("CheckLength: %v", err)
			}
		})
	}
}

func TestOnlyTheRightPasswordMatches(t *testing.T) {
	t.Parallel()
	h := NewHasher()
	stored, err := h.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.Hash(t.Context(), "correct horse")
	if err != nil || again == stored {
		t.Errorf("two hashes of a password are the same: it has no salt (%v)", err)
	}
	for password, want := range map[string]bool{"correct horse": true, "correct horsE": false, "": false, strings.Repeat("x", passwordMax+1): false} {
		if got, err := h.Matches(t.Context(), stored, password); got != want || err != nil {
			t.Errorf("%q matches: %t, %v", password, got, err)
		}
	}
	if got, err := h.Matches(t.Context(), "", ""); got || err != nil {
		t.Errorf("nobody's password matches: %t, %v", got, err)
	}
}

func TestHashingWaitsNoLongerThanItsCaller(t *testing.T) {
	t.Parallel()
	h := Hasher{slots: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Hash(ctx, "correct horse"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("err = %v", err)
	}
}
