package customers_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"m3o/internal/auth"
	"m3o/internal/customers/customersapi"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
)

func TestListSearchesAndPages(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		admin, _ := h.admin()
		for _, email := range []string{"a_1@example.com", "b@example.com", "a%1@example.com", "c@example.com"} {
			h.pass(time.Second)
			must(t, h.service.SignUp(t.Context(), email))
		}
		c, err := s.Read(admin, "", "c@example.com")
		must(t, err)
		must(t, s.UpdateName(admin, "Élise B.", c.ID))
		emails := func(search string) (found []string) {
			all, next, err := s.List(admin, search, 0, "")
			must(t, err)
			if next != "" {
				t.Errorf("next = %s", next)
			}
			for _, c := range all {
				found = append(found, c.Email)
			}
			return found
		}
		for search, want := range map[string][]string{
			"":      {"c@example.com", "a%1@example.com", "b@example.com", "a_1@example.com", "root@example.com"},
			"A_1":   {"a_1@example.com"},
			"a%1":   {"a%1@example.com"},
			" B@ ":  {"b@example.com"},
			"Élise": {"c@example.com"},
			"b.":    {"c@example.com"},
			"zzz":   nil,
		} {
			if diff := cmp.Diff(want, emails(search)); diff != "" {
				t.Errorf("search %q: %s", search, diff)
			}
		}
		var paged []string
		for cursor, pages := "", 0; pages == 0 || cursor != ""; pages++ {
			found, next, err := s.List(admin, "", 2, cursor)
			must(t, err)
			if len(found) > 2 || pages > 3 {
				t.Fatalf("page %d has %d customers", pages, len(found))
			}
			for _, c := range found {
				paged = append(paged, c.Email)
			}
			cursor = next
		}
		if diff := cmp.Diff(emails(""), paged); diff != "" {
			t.Error(diff)
		}
		_, _, err = s.List(admin, "", 1001, "")
		wantFault(t, err, fault.Invalid)
		_, _, err = s.List(admin, "", 0, "nonsense")
		wantFault(t, err, fault.Invalid)
	})
}

func TestUpdateChangesWhatIsGiven(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		admin, adminID := h.admin()
		v := h.join(ada)
		h.join("bob@example.com")
		update := func(c customersapi.Customer) error {
			c.ID = v.CustomerID
			return s.Update(admin, c)
		}
		must(t, update(customersapi.Customer{Name: "Ada", Meta: map[string]string{"k": "v"}, Status: "verified"}))
		must(t, update(customersapi.Customer{Email: " Lovelace@Example.com"}))
		got, err := s.Read(admin, v.CustomerID, "")
		must(t, err)
		want := customersapi.Customer{ID: v.CustomerID, Status: "verified", Email: "lovelace@example.com", Name: "Ada",
			Created: h.now.Unix(), Updated: h.now.Unix(), Meta: map[string]string{"k": "v"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		trail(t, h.db, v.CustomerID, adminID, "customers.Update", "customers.Update")
		if f := wantFault(t, update(customersapi.Customer{Status: "banned"}), fault.Invalid); f.ID != "customers.update.badstatus" {
			t.Errorf("id = %s", f.ID)
		}
		wantFault(t, update(customersapi.Customer{Email: "bob@example.com"}), fault.Conflict)
		wantFault(t, update(customersapi.Customer{Email: "nonsense"}), fault.Invalid)
		wantFault(t, update(customersapi.Customer{Meta: map[string]string{"k": strings.Repeat("x", 1025)}}), fault.Invalid)
		wantFault(t, s.Update(admin, customersapi.Customer{Name: "x"}), fault.Invalid)
		wantFault(t, s.Update(admin, customersapi.Customer{ID: "cus_none", Name: "x"}), fault.NotFound)
	})
}

func TestANewAddressVoidsTheCodesOfTheOld(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), nil)
	admin, _ := h.admin()
	v := h.join(ada)
	must(t, h.service.Recover(t.Context(), ada))
	code := h.code(ada)
	must(t, h.service.Update(admin, customersapi.Customer{ID: v.CustomerID, Email: "new@example.com"}))
	must(t, h.service.Update(admin, customersapi.Customer{ID: v.CustomerID, Email: ada}))
	wantFault(t, h.service.ResetPassword(t.Context(), ada, code, password), fault.Forbidden)
}

func TestBanAndUnban(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		admin, adminID := h.admin()
		v := h.join(ada)
		must(t, h.service.Recover(t.Context(), ada))
		code := h.code(ada)
		must(t, s.Ban(admin, "", ada))
		must(t, s.Ban(admin, v.CustomerID, ""))
		if h.alive(v.AuthToken.AccessToken) || h.status(v.CustomerID) != "banned" || !h.wasTold(v.CustomerID) {
			t.Errorf("session alive or status %s or nobody told", h.status(v.CustomerID))
		}
		_, err := s.Login(t.Context(), "", "", v.AuthToken.RefreshToken)
		wantFault(t, err, fault.Unauthenticated)
		wantFault(t, s.SignUp(t.Context(), ada), fault.Forbidden)
		wantFault(t, s.ResetPassword(t.Context(), ada, code, password), fault.Forbidden)

		must(t, s.Unban(admin, v.CustomerID, ""))
		must(t, s.Unban(admin, "", ada))
		if h.status(v.CustomerID) != "verified" || h.alive(v.AuthToken.AccessToken) {
			t.Errorf("status = %s, or the old session is alive again", h.status(v.CustomerID))
		}
		_, err = s.Login(t.Context(), ada, password, "")
		must(t, err)
		if facts := h.facts(v.CustomerID); !slices.Equal(facts[3:], []string{"Banned", "Unbanned", "Login"}) {
			t.Errorf("facts = %v", facts)
		}
		trail(t, h.db, v.CustomerID, adminID, "customers.Unban", "customers.Ban")
	})
}

func TestUnbanGoesBackToUnverified(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d, nil)
		admin, _ := h.admin()
		must(t, h.service.SignUp(t.Context(), ada))
		c, err := h.service.Read(admin, "", ada)
		must(t, err)
		must(t, h.service.Ban(admin, c.ID, ""))
		must(t, h.service.Unban(admin, c.ID, ""))
		if status := h.status(c.ID); status != "unverified" {
			t.Errorf("status = %s", status)
		}
		must(t, h.service.SignUp(t.Context(), ada))
	})
}

func TestABannedAddressStaysRefusedAfterDeletion(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		admin, _ := h.admin()
		v := h.join(ada)
		must(t, s.Ban(admin, v.CustomerID, ""))
		must(t, s.Delete(admin, v.CustomerID, "", true))
		wantFault(t, s.SignUp(t.Context(), ada), fault.Forbidden)
		must(t, s.Unban(admin, v.CustomerID, ""))
		if status := h.status(v.CustomerID); status != "deleted" {
			t.Errorf("status = %s", status)
		}
		must(t, s.SignUp(t.Context(), ada))
	})
}

func TestABanHoldsForTheOldAndTheNewAddress(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d, nil)
		admin, _ := h.admin()
		v := h.join(ada)
		must(t, h.service.Ban(admin, v.CustomerID, ""))
		must(t, h.service.Update(admin, customersapi.Customer{ID: v.CustomerID, Email: "new@example.com"}))
		must(t, h.service.Delete(admin, v.CustomerID, "", false))
		for _, email := range []string{ada, "new@example.com"} {
			wantFault(t, h.service.SignUp(t.Context(), email), fault.Forbidden)
		}
		must(t, h.service.Unban(admin, v.CustomerID, ""))
		for _, email := range []string{ada, "new@example.com"} {
			must(t, h.service.SignUp(t.Context(), email))
		}
	})
}

func TestAnAdminCannotLockItselfOut(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		admin, id := h.admin()
		wantFault(t, s.Ban(admin, id, ""), fault.Conflict)
		wantFault(t, s.Delete(admin, "", "", false), fault.Conflict)
		wantFault(t, s.Delete(admin, "", "root@example.com", true), fault.Conflict)
		other, _, err := h.service.Provision(t.Context(), "other@example.com", password, "", true)
		must(t, err)
		must(t, s.Ban(auth.With(t.Context(), auth.Account{ID: other.ID, Type: auth.TypeAdmin}), id, ""))
	})
}

func TestOnlyAdmins(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		v := h.join(ada)
		for ctx, code := range map[context.Context]fault.Code{h.as(v.AuthToken.AccessToken): fault.Forbidden, t.Context(): fault.Unauthenticated} {
			wantFault(t, s.Ban(ctx, v.CustomerID, ""), code)
			wantFault(t, s.Unban(ctx, v.CustomerID, ""), code)
			wantFault(t, s.Update(ctx, customersapi.Customer{ID: v.CustomerID, Name: "x"}), code)
			_, _, err := s.List(ctx, "", 0, "")
			wantFault(t, err, code)
		}
		admin, _ := h.admin()
		for _, call := range []func(context.Context, string, string) error{s.Ban, s.Unban} {
			wantFault(t, call(admin, "", ""), fault.Invalid)
			wantFault(t, call(admin, "cus_none", ""), fault.NotFound)
			wantFault(t, call(admin, "", "nobody@example.com"), fault.NotFound)
		}
	})
}

func TestAChangeThatNotEverybodyWasToldIsRepeatable(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), nil)
	admin, _ := h.admin()
	v := h.join(ada)
	h.refuses = errors.New("cache is locked")
	wantFault(t, h.service.Ban(admin, v.CustomerID, ""), fault.Unavailable)
	if h.alive(v.AuthToken.AccessToken) {
		t.Error("the ban is not in force")
	}
	h.refuses = nil
	must(t, h.service.Ban(admin, v.CustomerID, ""))
	if n := len(h.told); n != 2 {
		t.Errorf("told %d times, want 2", n)
	}
}

func TestALoginThatMeetsABanLeavesNoSession(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d, nil)
		admin, _ := h.admin()
		v := h.join(ada)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if _, err := h.service.Login(t.Context(), ada, password, ""); err != nil && !fault.Is(err, fault.Unauthenticated) {
					t.Error(err)
				}
			})
		}
		for count(t, d, "throttles") < 2 { // the mail's and the login's: a login has begun
			runtime.Gosched()
		}
		must(t, h.service.Ban(admin, v.CustomerID, ""))
		wg.Wait()
		if n := count(t, d, "customers_sessions"); n != 0 {
			t.Errorf("%d sessions of a banned customer", n)
		}
	})
}
