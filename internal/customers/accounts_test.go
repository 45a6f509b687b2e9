package customers_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"m3o/internal/customers/customersapi"
	"m3o/internal/db"
	"m3o/internal/db/audit"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
)

func TestReadIsForOneselfOrAnAdmin(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		v, bob := h.join(ada), h.join("bob@example.com")
		admin, _ := h.admin()
		want := customersapi.Customer{ID: v.CustomerID, Status: "verified", Email: ada, Created: h.now.Unix(), Updated: h.now.Unix(), Meta: map[string]string{}}
		own := h.as(v.AuthToken.AccessToken)
		for _, c := range []struct {
			ctx       context.Context
			id, email string
		}{{own, "", ""}, {own, v.CustomerID, ""}, {own, "", "ADA@example.com"}, {admin, v.CustomerID, ""}, {admin, "", ada}} {
			got, err := s.Read(c.ctx, c.id, c.email)
			must(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Read(%q, %q): %s", c.id, c.email, diff)
			}
		}
		for _, c := range []struct {
			ctx       context.Context
			id, email string
			code      fault.Code
		}{
			{own, bob.CustomerID, "", fault.Forbidden}, {own, "", "bob@example.com", fault.Forbidden}, {own, "", "nobody@example.com", fault.Forbidden},
			{own, "", "nonsense", fault.Invalid}, {admin, "cus_none", "", fault.NotFound}, {admin, "", "nobody@example.com", fault.NotFound},
			{t.Context(), v.CustomerID, "", fault.Unauthenticated},
		} {
			_, err := s.Read(c.ctx, c.id, c.email)
			wantFault(t, err, c.code)
		}
	})
}

func TestReadChangesNothing(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), nil)
	v := h.join(ada)
	h.pass(time.Hour / 2)
	before := dump(t, h.db)
	ctx := h.as(v.AuthToken.AccessToken)
	_, err := h.service.Read(ctx, "", "")
	must(t, err)
	_, err = h.service.Inspect(ctx)
	must(t, err)
	if diff := cmp.Diff(before, dump(t, h.db)); diff != "" {
		t.Error(diff)
	}
}

func TestUpdateName(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		v := h.join(ada)
		admin, adminID := h.admin()
		ctx := h.as(v.AuthToken.AccessToken)
		h.pass(time.Minute)
		must(t, s.UpdateName(ctx, " Ada Lovelace ", ""))
		must(t, s.UpdateName(ctx, "Ada Lovelace", v.CustomerID))
		c, err := s.Read(ctx, "", "")
		must(t, err)
		if c.Name != "Ada Lovelace" || c.Updated != h.now.Unix() {
			t.Errorf("customer = %+v", c)
		}
		if facts := h.facts(v.CustomerID); !slices.Equal(facts[3:], []string{"Updated"}) {
			t.Errorf("facts = %v, want one Updated", facts)
		}
		must(t, s.UpdateName(admin, "Countess", v.CustomerID))
		trail(t, h.db, v.CustomerID, adminID, "customers.UpdateName")
		wantFault(t, s.UpdateName(ctx, "x", adminID), fault.Forbidden)
		wantFault(t, s.UpdateName(ctx, "two\nlines", ""), fault.Invalid)
		wantFault(t, s.UpdateName(ctx, strings.Repeat("x", 101), ""), fault.Invalid)
	})
}

// trail fails unless what was done to subject, newest first, are those actions of actor.
func trail(t *testing.T, d *db.DB, subject, actor string, actions ...string) {
	t.Helper()
	entries, err := audit.Of(t.Context(), d, subject, 100)
	must(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Action)
		if e.Actor != actor {
			t.Errorf("%s was done by %s", e.Action, e.Actor)
		}
	}
	if diff := cmp.Diff(actions, got); diff != "" {
		t.Error(diff)
	}
}

func TestDeleteOneself(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		v := h.join(ada)
		admin, _ := h.admin()
		bob := h.join("bob@example.com")
		wantFault(t, s.Delete(h.as(bob.AuthToken.AccessToken), v.CustomerID, "", false), fault.Forbidden)
		ctx := h.as(v.AuthToken.AccessToken)
		must(t, s.Delete(ctx, "", "", false))
		must(t, s.Delete(admin, "", ada, false))
		c, err := s.Read(admin, v.CustomerID, "")
		must(t, err)
		if c.Status != "deleted" || c.Email != ada || h.alive(v.AuthToken.AccessToken) || !h.wasTold(v.CustomerID) {
			t.Errorf("customer = %+v, or its session is alive, or nobody was told", c)
		}
		_, err = s.Login(t.Context(), ada, password, "")
		wantFault(t, err, fault.Unauthenticated)
		wantFault(t, s.Ban(admin, v.CustomerID, ""), fault.Conflict)
		wantFault(t, s.UpdateName(admin, "x", v.CustomerID), fault.NotFound)
		if facts := h.facts(v.CustomerID); !slices.Equal(facts[3:], []string{"Deleted"}) {
			t.Errorf("facts = %v", facts)
		}
		again := h.join(ada)
		if again.CustomerID == v.CustomerID || h.status(v.CustomerID) != "deleted" {
			t.Error("the address brought the deleted customer back")
		}
	})
}

func TestDeleteByForceErases(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		admin, adminID := h.admin()
		v := h.join(ada)
		must(t, s.UpdateName(h.as(v.AuthToken.AccessToken), "Ada", ""))
		must(t, s.Delete(admin, v.CustomerID, "", false))
		must(t, s.Delete(admin, "", ada, true))
		must(t, s.Delete(admin, v.CustomerID, "", true))
		c, err := s.Read(admin, v.CustomerID, "")
		must(t, err)
		want := customersapi.Customer{ID: v.CustomerID, Status: "deleted", Created: h.now.Unix(), Updated: h.now.Unix(), Meta: map[string]string{}}
		if diff := cmp.Diff(want, c); diff != "" {
			t.Error(diff)
		}
		trail(t, h.db, v.CustomerID, adminID, "customers.Delete", "customers.Delete")
	})
}

func TestProvisionMakesAnAccountOnce(t *testing.T) {
	each(t, func(t *testing.T, s customersapi.Service, h *house) {
		c, created, err := s.Provision(t.Context(), "Admin@Localhost", password, "Admin", true)
		must(t, err)
		if !created || c.Status != "verified" || c.Email != "admin@localhost" || c.Name != "Admin" {
			t.Errorf("created %t: %+v", created, c)
		}
		again, created, err := s.Provision(t.Context(), "admin@localhost", "another good one", "Other", false)
		must(t, err)
		if diff := cmp.Diff(c, again); created || diff != "" {
			t.Errorf("created %t: %s", created, diff)
		}
		_, err = s.Login(t.Context(), "admin@localhost", password, "")
		must(t, err)
		if facts := h.facts(c.ID); !slices.Equal(facts, []string{"Created", "Verified", "Login"}) {
			t.Errorf("facts = %v", facts)
		}
		_, _, err = s.Provision(t.Context(), "demo@localhost", "weak", "", false)
		wantFault(t, err, fault.Invalid)
		_, err = s.Status(t.Context(), "cus_none")
		wantFault(t, err, fault.NotFound)
	})
}
