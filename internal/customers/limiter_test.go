package customers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"m3o/internal/fault"
)

func TestLimiterIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	l := newLimiter(time.Minute, func() time.Time { return now })
	for i := range limiterMax + 10 {
		if err := l.take(fmt.Sprintf("2001:db8:%x:%x::1", i>>16, i&0xffff), 1); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(l.usedUp); n > limiterMax {
		t.Errorf("%d clients are remembered", n)
	}
	now = now.Add(time.Hour)
	for i := range limiterMax {
		if err := l.take(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&0xff, i&0xff), 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.take("10.0.0.1", 1); !fault.Is(err, fault.Limited) {
		t.Errorf("err = %v: a client with a used up allowance was forgotten", err)
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"ada@example.com", " A@B ", "Ada <a@b>", "a@[::1]", "\"a\"@b", "a@b (c)", "ü@ü", "a@b\r\nc", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, email string) {
		address, err := parseAddress(email)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%q: %v", email, err)
			}
			return
		}
		if again, err := parseAddress(address); err != nil || again != address {
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
