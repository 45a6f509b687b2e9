package keys_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
	"m3o/internal/keys/keysapi"
)

func TestGenerateIssuesAKeyThatIsKnownAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s keysapi.Service, h *house) {
		customer, ctx := h.customer()
		expires := h.clock().Add(time.Hour)
		text, keyID, err := s.Generate(ctx, []string{"HelloWorld", "db", "helloworld"}, "for tests", expires, 7)
		if err != nil || !keysapi.WellFormed(text) || !strings.HasPrefix(keyID, "key_") {
			t.Fatalf("key %q, id %q, %v", text, keyID, err)
		}
		record, err := s.Lookup(t.Context(), keysapi.Hash(text))
		if err != nil {
			t.Fatal(err)
		}
		if record.ID != keyID || record.CustomerID != customer || !slices.Equal(record.Scopes, []string{"helloworld", "db"}) ||
			!record.Expires.Equal(expires) || record.Rate != 7 || len(record.Blocked) != 0 {
			t.Errorf("record %+v", record)
		}
		if got := h.facts(customer); !slices.Equal(got, []string{"GenerateKey"}) {
			t.Errorf("facts %v", got)
		}
		if told := h.told(); !slices.Contains(told, customer) {
			t.Errorf("told %v", told)
		}
	})
}

func TestGenerateRefuses(t *testing.T) {
	each(t, func(t *testing.T, s keysapi.Service, h *house) {
		_, ctx := h.customer()
		all, past := []string{"*"}, h.clock()
		for name, c := range map[string]struct {
			scopes      []string
			description string
			expires     time.Time
			rate        int
			code        fault.Code
			detail      string
		}{
			"no scopes":          {nil, "d", time.Time{}, 0, fault.Invalid, "Missing scopes field"},
			"no description":     {all, "", time.Time{}, 0, fault.Invalid, "Missing description field"},
			"neither":            {nil, "", time.Time{}, 0, fault.Invalid, "Missing scopes field"},
			"an unknown scope":   {[]string{"db", "nothing"}, "d", time.Time{}, 0, fault.Forbidden, "Not allowed to generate a key with requested scopes"},
			"an empty scope":     {[]string{""}, "d", time.Time{}, 0, fault.Forbidden, ""},
			"too many scopes":    {slices.Repeat(all, 101), "d", time.Time{}, 0, fault.Invalid, ""},
			"a long description": {all, strings.Repeat("é", 201), time.Time{}, 0, fault.Invalid, ""},
			"the past":           {all, "d", past, 0, fault.Invalid, ""},
			"a negative rate":    {all, "d", time.Time{}, -1, fault.Invalid, ""},
		} {
			text, _, err := s.Generate(ctx, c.scopes, c.description, c.expires, c.rate)
			if text != "" {
				t.Errorf("%s: a key was issued", name)
			}
			wantFault(t, err, c.code, "v1.GenerateKey", c.detail)
		}
		_, _, err := s.Generate(t.Context(), all, "d", time.Time{}, 0)
		wantFault(t, err, fault.Unauthenticated, "", "")
	})
}

func TestGenerateTakesADescriptionOfTwoHundredCharacters(t *testing.T) {
	each(t, func(t *testing.T, s keysapi.Service, h *house) {
		_, ctx := h.customer()
		if _, _, err := s.Generate(ctx, []string{"*"}, strings.Repeat("é", 200), time.Time{}, 0); err != nil {
			t.Error(err)
		}
	})
}

func TestACustomerHasAtMostAHundredKeys(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) *db.DB{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, h := setup(t, open(t))
			_, ctx := h.customer()
			var issued, refused atomic.Int64
			var callers sync.WaitGroup
			for range 6 {
				callers.Go(func() {
					for range 20 {
						_, _, err := s.Generate(ctx, []string{"*"}, "d", time.Time{}, 0)
						switch {
						case err == nil:
							issued.Add(1)
						case fault.Is(err, fault.Conflict):
							refused.Add(1)
						default:
							t.Error(err)
						}
					}
				})
			}
			callers.Wait()
			if issued.Load() != 100 || refused.Load() != 20 {
				t.Fatalf("%d issued, %d refused", issued.Load(), refused.Load())
			}
			listed, err := s.ListKeys(ctx)
			if err != nil || len(listed) != 100 {
				t.Fatalf("%d listed, %v", len(listed), err)
			}
			if err := s.Revoke(ctx, listed[0].ID); err != nil {
				t.Fatal(err)
			}
			h.key(s, ctx) // there is room again
		})
	}
}

func TestListKeysShowsEverythingButTheKey(t *testing.T) {
	each(t, func(t *testing.T, s keysapi.Service, h *house) {
		_, ctx := h.customer()
		text, first := h.key(s, ctx)
		seen := h.clock().Add(time.Minute)
		if err := s.Touch(t.Context(), []keysapi.Seen{{KeyID: first, Time: seen}}); err != nil {
			t.Fatal(err)
		}
		h.now = h.now.Add(time.Second)
		_, second, err := s.Generate(ctx, []string{"db"}, "second", h.clock().Add(time.Hour), 3)
		if err != nil {
			t.Fatal(err)
		}
		listed, err := s.ListKeys(ctx)
		if err != nil || len(listed) != 2 {
			t.Fatalf("%+v, %v", listed, err)
		}
		if listed[0].ID != second || listed[0].Rate != 3 || listed[0].Expires == nil || listed[0].LastSeen != 0 || listed[0].Blocked == nil {
			t.Errorf("newest %+v", listed[0])
		}
		key := listed[1]
		if key.ID != first || key.Prefix != text[:8] || key.LastSeen != seen.Unix() || key.Expires != nil || key.Description != "a key" {
			t.Errorf("oldest %+v", key)
		}
		if strings.Contains(fmt.Sprintf("%+v", listed), text) {
			t.Error("the list holds the key")
		}
		_, other := h.customer()
		if listed, err := s.ListKeys(other); err != nil || len(listed) != 0 || listed == nil {
			t.Errorf("another customer sees %+v, %v", listed, err)
		}
	})
}

func TestRevokeEndsAKeyForGood(t *testing.T) {
	each(t, func(t *testing.T, s keysapi.Service, h *house) {
		customer, ctx := h.customer()
		text, keyID := h.key(s, ctx)
		h.told()
		if err := s.Revoke(ctx, keyID); err != nil {
			t.Fatal(err)
		}
		if told := h.told(); !slices.Contains(told, customer) {
			t.Errorf("told %v", told)
		}
		_, err := s.Lookup(t.Context(), keysapi.Hash(text))
		wantFault(t, err, fault.NotFound, "", "")
		if err := s.Touch(t.Context(), []keysapi.Seen{{KeyID: keyID, Time: h.clock().Add(time.Hour)}}); err != nil {
			t.Fatal(err)
		}
		_, err = s.Lookup(t.Context(), keysapi.Hash(text))
		wantFault(t, err, fault.NotFound, "", "")
		wantFault(t, s.Revoke(ctx, keyID), fault.NotFound, "v1.Revoke", "Not found")
		if listed, err := s.ListKeys(ctx); err != nil || len(listed) != 0 {
			t.Errorf("still listed: %+v, %v", listed, err)
		}
		if got := h.facts(customer); !slices.Equal(got, []string{"GenerateKey", "DeleteKey"}) {
			t.Errorf("facts %v", got)
		}
	})
}

func TestRevokeRefuses(t *testing.T) {
	each(t, func(t *testing.T, s keysapi.Service, h *house) {
		_, ctx := h.customer()
		text, keyID := h.key(s, ctx)
		_, other := h.customer()
		wantFault(t, s.Revoke(ctx, ""), fault.Invalid, "v1.Revoke", "Missing ID field")
		wantFault(t, s.Revoke(ctx, "key_unknown"), fault.NotFound, "v1.Revoke", "Not found")
		wantFault(t, s.Revoke(other, keyID), fault.NotFound, "v1.Revoke", "Not found")
		wantFault(t, s.Revoke(t.Context(), keyID), fault.Unauthenticated, "", "")
		if _, err := s.Lookup(t.Context(), keysapi.Hash(text)); err != nil {
			t.Errorf("the key is gone: %v", err)
		}
	})
}

// A key that is used while it is revoked came back in M3O, since noting its use
// wrote the whole record.
func TestTouchMovesOnlyTheTimeAndOnlyForward(t *testing.T) {
	each(t, func(t *testing.T, s keysapi.Service, h *house) {
		_, ctx := h.customer()
		_, keyID := h.key(s, ctx)
		late, early := h.clock().Add(time.Hour), h.clock().Add(time.Minute)
		seen := []keysapi.Seen{{KeyID: keyID, Time: late}, {KeyID: keyID, Time: early}, {KeyID: "key_unknown", Time: late}}
		if err := s.Touch(t.Context(), seen); err != nil {
			t.Fatal(err)
		}
		if err := s.Touch(t.Context(), seen[1:]); err != nil {
			t.Fatal(err)
		}
		listed, err := s.ListKeys(ctx)
		if err != nil || len(listed) != 1 || listed[0].LastSeen != late.Unix() {
			t.Errorf("%+v, %v", listed, err)
		}
	})
}

func TestAChangeThatNobodyCouldBeToldIsUnavailableAndStands(t *testing.T) {
	each(t, func(t *testing.T, s keysapi.Service, h *house) {
		customer, ctx := h.customer()
		text, keyID := h.key(s, ctx)
		h.setDeaf(errors.New("deaf"))
		wantFault(t, s.BlockKey(h.admin(), customer, keyID, ""), fault.Unavailable, "", "")
		record, err := s.Lookup(t.Context(), keysapi.Hash(text))
		if err != nil || len(record.Blocked) != 1 {
			t.Errorf("record %+v, %v", record, err)
		}
		h.setDeaf(nil)
		h.told()
		if err := s.BlockKey(h.admin(), customer, keyID, ""); err != nil {
			t.Error(err)
		}
		if told := h.told(); !slices.Contains(told, customer) {
			t.Errorf("a repeat tells %v", told)
		}
	})
}

func TestLookupOfAnythingElseIsNotFound(t *testing.T) {
	each(t, func(t *testing.T, s keysapi.Service, h *house) {
		for _, hash := range []string{"", "x", keysapi.Hash("m3o_unknown")} {
			_, err := s.Lookup(context.Background(), hash)
			wantFault(t, err, fault.NotFound, "", "")
		}
	})
}
