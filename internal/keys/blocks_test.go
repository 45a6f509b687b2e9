package keys_test

import (
	"errors"
	"slices"
	"testing"

	"m3o/internal/customers/customersapi"
	"m3o/internal/db/audit"
	"m3o/internal/fault"
	"m3o/internal/keys/keysapi"
	"m3o/pkg/events/proto/customers"
)

// reasons are why a key is refused.
func reasons(t *testing.T, s keysapi.Service, text string) (found []string) {
	t.Helper()
	record, err := s.Lookup(t.Context(), keysapi.Hash(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range record.Blocked {
		found = append(found, b.Reason+": "+b.Message)
	}
	return found
}

func TestBlockAndUnblockOneKey(t *testing.T) {
	each(t, func(t *testing.T, s keysapi.Service, h *house) {
		customer, ctx := h.customer()
		blocked, keyID := h.key(s, ctx)
		free, _ := h.key(s, ctx)
		if err := s.BlockKey(h.admin(), customer, keyID, "Pay your bill"); err != nil {
			t.Fatal(err)
		}
		if got := reasons(t, s, blocked); !slices.Equal(got, []string{"admin: Pay your bill"}) {
			t.Errorf("blocked for %v", got)
		}
		if got := reasons(t, s, free); got != nil {
			t.Errorf("the other key is blocked for %v", got)
		}
		listed, err := s.ListKeys(ctx)
		if err != nil || len(listed) != 2 || len(listed[1].Blocked) != 1 || listed[1].Blocked[0].Message != "Pay your bill" {
			t.Errorf("listed %+v, %v", listed, err)
		}
		if err := s.UnblockKey(h.admin(), customer, keyID); err != nil {
			t.Fatal(err)
		}
		if got := reasons(t, s, blocked); got != nil {
			t.Errorf("still blocked for %v", got)
		}
		if got := h.facts(customer); !slices.Equal(got, []string{"GenerateKey", "GenerateKey", "BlockKey", "UnblockKey"}) {
			t.Errorf("facts %v", got)
		}
		trail, err := audit.Of(t.Context(), h.db, customer, 10)
		if err != nil || len(trail) != 2 || trail[1].Action != "keys.BlockKey" || trail[1].Actor != "cus_admin" || trail[1].Detail["key_id"] != keyID {
			t.Errorf("audit %+v, %v", trail, err)
		}
	})
}

func TestBlockAllKeysThatACustomerHas(t *testing.T) {
	each(t, func(t *testing.T, s keysapi.Service, h *house) {
		customer, ctx := h.customer()
		one, _ := h.key(s, ctx)
		two, _ := h.key(s, ctx)
		if err := s.BlockKey(h.admin(), customer, "", ""); err != nil {
			t.Fatal(err)
		}
		later, _ := h.key(s, ctx)
		if len(reasons(t, s, one)) != 1 || len(reasons(t, s, two)) != 1 || reasons(t, s, later) != nil {
			t.Errorf("blocked %v, %v, %v", reasons(t, s, one), reasons(t, s, two), reasons(t, s, later))
		}
		if err := s.UnblockKey(h.admin(), customer, ""); err != nil {
			t.Fatal(err)
		}
		if reasons(t, s, one) != nil || reasons(t, s, two) != nil {
			t.Error("a key is still blocked")
		}
	})
}

func TestLiftingOneReasonNeverLiftsAnother(t *testing.T) {
	each(t, func(t *testing.T, s keysapi.Service, h *house) {
		customer, ctx := h.customer()
		text, keyID := h.key(s, ctx)
		h.setStatus(customer, customersapi.Banned)
		if err := s.BlockKey(h.admin(), customer, keyID, "Abuse"); err != nil {
			t.Fatal(err)
		}
		if got := reasons(t, s, text); !slices.Equal(got, []string{"banned: User has been banned", "admin: Abuse"}) {
			t.Fatalf("blocked for %v", got)
		}
		if err := s.UnblockKey(h.admin(), customer, keyID); err != nil {
			t.Fatal(err)
		}
		if got := reasons(t, s, text); !slices.Equal(got, []string{"banned: User has been banned"}) {
			t.Fatalf("after the unblock: %v", got)
		}
		if err := s.BlockKey(h.admin(), customer, keyID, "Abuse"); err != nil {
			t.Fatal(err)
		}
		h.setStatus(customer, customersapi.IsVerified)
		if got := reasons(t, s, text); !slices.Equal(got, []string{"admin: Abuse"}) {
			t.Fatalf("after the unban: %v", got)
		}
	})
}

func TestBlockingRefuses(t *testing.T) {
	each(t, func(t *testing.T, s keysapi.Service, h *house) {
		customer, ctx := h.customer()
		_, keyID := h.key(s, ctx)
		other, _ := h.customer()
		wantFault(t, s.BlockKey(ctx, customer, keyID, ""), fault.Forbidden, "", "")
		wantFault(t, s.UnblockKey(ctx, customer, keyID), fault.Forbidden, "", "")
		wantFault(t, s.BlockKey(t.Context(), customer, keyID, ""), fault.Unauthenticated, "", "")
		wantFault(t, s.BlockKey(h.admin(), "", keyID, ""), fault.Invalid, "v1.BlockKey", "Missing user_id field")
		wantFault(t, s.BlockKey(h.admin(), "cus_unknown", "", ""), fault.NotFound, "v1.BlockKey", "")
		wantFault(t, s.BlockKey(h.admin(), other, keyID, ""), fault.NotFound, "v1.BlockKey", "")
		wantFault(t, s.UnblockKey(h.admin(), other, keyID), fault.NotFound, "v1.UnblockKey", "")
	})
}

func TestKeysOfACustomerWhoIsGoneAreNotFound(t *testing.T) {
	each(t, func(t *testing.T, s keysapi.Service, h *house) {
		customer, ctx := h.customer()
		text, _ := h.key(s, ctx)
		h.setStatus(customer, customersapi.Deleted)
		_, err := s.Lookup(t.Context(), keysapi.Hash(text))
		wantFault(t, err, fault.NotFound, "", "")
	})
}

func TestADeletedCustomersKeysAreDeletedOnce(t *testing.T) {
	each(t, func(t *testing.T, s keysapi.Service, h *house) {
		customer, ctx := h.customer()
		text, keyID := h.key(s, ctx)
		_, otherCtx := h.customer()
		others, _ := h.key(s, otherCtx)
		if err := s.BlockKey(h.admin(), customer, keyID, ""); err != nil {
			t.Fatal(err)
		}
		gone := &customers.Event{Type: customers.EventType_EventTypeDeleted, Customer: &customers.Customer{Id: customer}}
		h.setDeaf(errors.New("deaf"))
		wantFault(t, h.deliver("evt_1", gone), fault.Unavailable, "", "")
		h.setDeaf(nil)
		h.told()
		if err := h.deliver("evt_1", gone); err != nil {
			t.Fatal(err)
		}
		if told := h.told(); !slices.Equal(told, []string{customer}) {
			t.Errorf("the second delivery tells %v", told)
		}
		_, err := s.Lookup(t.Context(), keysapi.Hash(text))
		wantFault(t, err, fault.NotFound, "", "")
		if _, err := s.Lookup(t.Context(), keysapi.Hash(others)); err != nil {
			t.Errorf("another customer's key: %v", err)
		}
		if got := h.facts(customer); !slices.Equal(got, []string{"GenerateKey", "BlockKey", "DeleteKey"}) {
			t.Errorf("facts %v", got)
		}
	})
}

func TestOtherFactsAboutACustomerLeaveItsKeys(t *testing.T) {
	each(t, func(t *testing.T, s keysapi.Service, h *house) {
		customer, ctx := h.customer()
		text, _ := h.key(s, ctx)
		h.told()
		for _, kind := range []customers.EventType{customers.EventType_EventTypeUpdated, customers.EventType_EventTypeBanned, 99} {
			if err := h.deliver("evt_2", &customers.Event{Type: kind, Customer: &customers.Customer{Id: customer}}); err != nil {
				t.Errorf("type %d: %v", kind, err)
			}
		}
		if _, err := s.Lookup(t.Context(), keysapi.Hash(text)); err != nil {
			t.Error(err)
		}
		if told := h.told(); told != nil {
			t.Errorf("told %v", told)
		}
	})
}
