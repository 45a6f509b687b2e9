package users_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"m3o/internal/auth"
	"m3o/internal/config"
	"m3o/internal/db"
	"m3o/internal/db/audit"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
	"m3o/internal/shop/users/usersapi"
)

func TestRegisterMakesAUser(t *testing.T) {
	each(t, func(t *testing.T, s usersapi.Service, h *house) {
		u, err := s.RegisterUser(t.Context(), " Ada@Example.com ", " Ada Lovelace ", password, usersapi.TypeDefault)
		must(t, err)
		want := usersapi.User{ID: u.ID, Username: "Ada Lovelace", Email: ada, CreatedAt: h.clock()}
		if u != want || !strings.HasPrefix(u.ID, "usr_") {
			t.Errorf("got %+v", u)
		}
		read, err := s.GetUser(h.as(u), "")
		if err != nil || read != u {
			t.Errorf("read %+v, %v", read, err)
		}
		if _, err := s.RegisterUser(t.Context(), "ADA@example.com", "Another", password, usersapi.TypeDefault); !fault.Is(err, fault.Conflict) {
			t.Errorf("the address in capitals: %v", err)
		}
		facts := h.facts()
		if len(facts) != 1 || !strings.HasPrefix(facts[0], u.ID+" USER_REGISTERED {") || !strings.Contains(facts[0], `"email":"`+ada+`"`) {
			t.Errorf("facts: %v", facts)
		}
	})
}

func TestRegisterRefusesBadInput(t *testing.T) {
	each(t, func(t *testing.T, s usersapi.Service, _ *house) {
		for name, bad := range map[string]struct {
			email, username, password string
			userType                  int
			field                     string
		}{
			"NoAddress":        {email: "", username: "Ada", password: password, field: "email"},
			"NotAnAddress":     {email: "EMAIL", username: "Ada", password: password, field: "email"},
			"TwoAddresses":     {email: "a@b.c, d@e.f", username: "Ada", password: password, field: "email"},
			"HeaderInjection":  {email: "a@b.c\r\nBcc: d@e.f", username: "Ada", password: password, field: "email"},
			"NoName":           {email: ada, username: "  ", password: password, field: "username"},
			"EndlessName":      {email: ada, username: strings.Repeat("ä", 65), password: password, field: "username"},
			"UnprintableName":  {email: ada, username: "Ada\x00", password: password, field: "username"},
			"ShortPassword":    {email: ada, username: "Ada", password: "1234567", field: "password"},
			"EndlessPassword":  {email: ada, username: "Ada", password: strings.Repeat("x", 1025), field: "password"},
			"NoSuchType":       {email: ada, username: "Ada", password: password, userType: 2, field: "type"},
			"NegativeUserType": {email: ada, username: "Ada", password: password, userType: -1, field: "type"},
		} {
			_, err := s.RegisterUser(t.Context(), bad.email, bad.username, bad.password, bad.userType)
			if f := wantFault(t, err, fault.Invalid); len(f.Fields) != 1 || f.Fields[0].Name != bad.field {
				t.Errorf("%s: fields %v, want %s", name, f.Fields, bad.field)
			}
		}
	})
}

func TestAnAdminIsMadeByAdminsOnly(t *testing.T) {
	each(t, func(t *testing.T, s usersapi.Service, h *house) {
		admin, user := h.register("root@example.com", usersapi.TypeAdmin), h.register("user@example.com", usersapi.TypeDefault)
		for name, test := range map[string]struct {
			ctx  context.Context
			code fault.Code
		}{
			"nobody":            {t.Context(), fault.Unauthenticated},
			"user":              {h.as(user), fault.Forbidden},
			"platform-customer": {auth.With(t.Context(), auth.Account{ID: "cus_1", Type: auth.TypeCustomer}), fault.Forbidden},
			"admin":             {h.as(admin), ""},
			"platform-admin":    {auth.With(t.Context(), auth.Account{ID: "cus_2", Type: auth.TypeAdmin}), ""},
		} {
			made, err := s.RegisterUser(test.ctx, name+"-made@example.com", name, password, usersapi.TypeAdmin)
			if fault.CodeOf(err) != test.code || err == nil && made.Type != usersapi.TypeAdmin {
				t.Errorf("%s: got %+v, %v", name, made, err)
			}
			if err != nil {
				continue
			}
			if trail, err := audit.Of(t.Context(), h.db, made.ID, 10); err != nil || len(trail) != 1 || trail[0].Action != "users.RegisterUser" {
				t.Errorf("%s: the trail of %s is %v, %v", name, made.ID, trail, err)
			}
		}
	})
}

func TestOpenAdminRegistrationIsForEverybody(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), config.Map{"shop.OpenAdminRegistration": "true"})
	u, err := h.service.RegisterUser(t.Context(), ada, "Ada", password, usersapi.TypeAdmin)
	if err != nil || u.Type != usersapi.TypeAdmin {
		t.Errorf("got %+v, %v", u, err)
	}
}

// The names are the contract's, in the file and in the environment.
func TestTheShopIsConfiguredByItsOwnName(t *testing.T) {
	t.Parallel()
	source, err := config.Load("", []string{"M3O_SHOP_OPEN_ADMIN_REGISTRATION=true", "M3O_SHOP_ADMIN_EMAIL=" + ada, "M3O_SHOP_ADMIN_PASSWORD=" + password})
	must(t, err)
	h := setup(t, dbtest.SQLite(t), nil)
	set, _ := h.service.Configured()
	if set.Host() != "shop" {
		t.Errorf("host %s", set.Host())
	}
	for property, want := range map[string]string{"OpenAdminRegistration": "true", "AdminEmail": ada, "AdminPassword": password} {
		if p, ok := set.Find(property); !ok || p.Secret != (property == "AdminPassword") {
			t.Errorf("%s: %+v, %t", property, p, ok)
		}
		if got, ok := source.Lookup(set.Host(), property); !ok || got != want {
			t.Errorf("%s = %q, %t", property, got, ok)
		}
	}
}

func TestRegistrationsOfAClientAreBounded(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), config.Map{"shop.RegistrationsPerClient": "2"})
	from := func(client string) context.Context { return auth.WithClient(t.Context(), client) }
	register := func(ctx context.Context, name string) error {
		_, err := h.service.RegisterUser(ctx, name+"@example.com", name, password, usersapi.TypeDefault)
		return err
	}
	must(t, register(from("192.0.2.1"), "a"))
	must(t, register(from("192.0.2.1"), "b"))
	wantFault(t, register(from("192.0.2.1"), "c"), fault.Limited)
	must(t, register(from("192.0.2.2"), "d"))
	must(t, register(auth.AsService(from("192.0.2.1"), "test"), "e"))
	h.pass(time.Minute)
	must(t, register(from("192.0.2.1"), "f"))
}

func TestTheFirstAdminIsMadeAtStartOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d, config.Map{"shop.AdminEmail": "Root@Example.com", "shop.AdminPassword": password})
		another := h.replica(h.bus)
		var starts sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			starts.Go(func() {
				if errs[i] = h.service.OnStartup(t.Context()); i%2 == 1 {
					errs[i] = another.OnStartup(t.Context())
				}
			})
		}
		starts.Wait()
		for _, err := range errs {
			must(t, err)
		}
		found, _, err := h.service.GetUsers(h.asService(), "", 0, "")
		if err != nil || len(found) != 1 || found[0].Email != "root@example.com" || found[0].Type != usersapi.TypeAdmin {
			t.Errorf("got %+v, %v", found, err)
		}
		if account, err := h.service.Authenticate(t.Context(), h.login("root@example.com")); err != nil || account.Caller().Type != auth.TypeShopAdmin {
			t.Errorf("got %+v, %v", account, err)
		}
	})
}

func TestTheFirstAdminNeedsBothAndIsNobodyElse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]config.Map{
		"NoPassword":    {"shop.AdminEmail": ada},
		"NoAddress":     {"shop.AdminPassword": password},
		"BadAddress":    {"shop.AdminEmail": "EMAIL", "shop.AdminPassword": password},
		"ShortPassword": {"shop.AdminEmail": ada, "shop.AdminPassword": "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := setup(t, dbtest.SQLite(t), c).service.OnStartup(t.Context())
			if err == nil || !strings.Contains(err.Error(), "M3O_SHOP_ADMIN_EMAIL") || strings.Contains(err.Error(), password) {
				t.Errorf("err = %v", err)
			}
		})
	}
	t.Run("AUserWithTheAddressIsLeftAlone", func(t *testing.T) {
		t.Parallel()
		h := setup(t, dbtest.SQLite(t), config.Map{"shop.AdminEmail": ada, "shop.AdminPassword": "another password"})
		u := h.register(ada, usersapi.TypeDefault)
		must(t, h.service.OnStartup(t.Context()))
		if read, err := h.service.GetUser(h.as(u), u.ID); err != nil || read.Type != usersapi.TypeDefault {
			t.Errorf("got %+v, %v", read, err)
		}
		if !strings.Contains(h.logged(), u.ID) {
			t.Errorf("nobody is told: %s", h.logged())
		}
	})
	t.Run("Unset", func(t *testing.T) {
		t.Parallel()
		h := setup(t, dbtest.SQLite(t), nil)
		must(t, h.service.OnStartup(t.Context()))
		if found, _, err := h.service.GetUsers(h.asService(), "", 0, ""); err != nil || len(found) != 0 {
			t.Errorf("got %+v, %v", found, err)
		}
	})
}

func TestOnlyAdminsSeeOthers(t *testing.T) {
	each(t, func(t *testing.T, s usersapi.Service, h *house) {
		admin, user, other := h.register("root@example.com", usersapi.TypeAdmin), h.register("user@example.com", 0), h.register("other@example.com", 0)
		customer := auth.With(t.Context(), auth.Account{ID: user.ID, Type: auth.TypeCustomer})
		for name, test := range map[string]struct {
			ctx  context.Context
			id   string
			code fault.Code
		}{
			"oneself":                  {h.as(user), user.ID, ""},
			"another":                  {h.as(user), other.ID, fault.Forbidden},
			"nobody there":             {h.as(user), "usr_none", fault.Forbidden},
			"admin":                    {h.as(admin), other.ID, ""},
			"admin, nobody there":      {h.as(admin), "usr_none", fault.NotFound},
			"not logged in":            {t.Context(), user.ID, fault.Unauthenticated},
			"customer of the platform": {customer, user.ID, fault.Forbidden},
		} {
			read, err := s.GetUser(test.ctx, test.id)
			if fault.CodeOf(err) != test.code || err == nil && read.ID != test.id {
				t.Errorf("GetUser, %s: %+v, %v", name, read, err)
			}
			many, err := s.GetUsersByID(test.ctx, []string{test.id})
			switch {
			case test.code == fault.NotFound:
				if err != nil || len(many) != 0 {
					t.Errorf("GetUsersByID, %s: %+v, %v", name, many, err)
				}
			case fault.CodeOf(err) != test.code || err == nil && (len(many) != 1 || many[0].ID != test.id):
				t.Errorf("GetUsersByID, %s: %+v, %v", name, many, err)
			}
		}
		for name, test := range map[string]struct {
			ctx  context.Context
			code fault.Code
		}{"not logged in": {t.Context(), fault.Unauthenticated}, "user": {h.as(user), fault.Forbidden}, "customer": {customer, fault.Forbidden}, "admin": {h.as(admin), ""}} {
			if found, _, err := s.GetUsers(test.ctx, "", 0, ""); fault.CodeOf(err) != test.code || err == nil && len(found) != 3 {
				t.Errorf("GetUsers, %s: %+v, %v", name, found, err)
			}
		}
	})
}

func TestManyAreReadAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s usersapi.Service, h *house) {
		one, two := h.register("one@example.com", 0), h.register("two@example.com", 0)
		found, err := s.GetUsersByID(h.asService(), []string{two.ID, "usr_none", one.ID, two.ID})
		must(t, err)
		if len(found) != 2 || !slices.Contains(found, one) || !slices.Contains(found, two) {
			t.Errorf("got %+v", found)
		}
		if found, err := s.GetUsersByID(h.asService(), nil); err != nil || len(found) != 0 {
			t.Errorf("none: %+v, %v", found, err)
		}
		_, err = s.GetUsersByID(h.asService(), make([]string, 1001))
		wantFault(t, err, fault.Invalid)
	})
}

func TestAListIsPagedAndSearched(t *testing.T) {
	each(t, func(t *testing.T, s usersapi.Service, h *house) {
		names := []string{"a_b", "axb", "Änne", "100%", "dora"}
		for i, name := range names {
			_, err := h.service.RegisterUser(h.asService(), fmt.Sprintf("user%d@example.com", i), name, password, 0)
			must(t, err)
			h.pass(time.Second)
		}
		page := func(search string, limit int) (found []string) {
			for cursor := ""; ; {
				users, next, err := s.GetUsers(h.asService(), search, limit, cursor)
				must(t, err)
				for _, u := range users {
					found = append(found, u.Username)
				}
				if len(users) > limit {
					t.Errorf("a page of %d has %d", limit, len(users))
				}
				if cursor = next; next == "" {
					return found
				}
			}
		}
		slices.Reverse(names)
		if got := page("", 2); !slices.Equal(got, names) {
			t.Errorf("all: %v", got)
		}
		for search, want := range map[string][]string{"A_B": {"a_b"}, "Änn": {"Änne"}, "0%": {"100%"}, "USER4@": {"dora"}, " dora ": {"dora"}, "nobody": nil} {
			if got := page(search, 10); !slices.Equal(got, want) {
				t.Errorf("%q: %v", search, got)
			}
		}
		_, _, err := s.GetUsers(h.asService(), "", 1001, "")
		wantFault(t, err, fault.Invalid)
		_, _, err = s.GetUsers(h.asService(), "", 0, "nonsense")
		wantFault(t, err, fault.Invalid)
	})
}

func TestAnotherTypeEndsTheTokens(t *testing.T) {
	each(t, func(t *testing.T, s usersapi.Service, h *house) {
		admin, user := h.register("root@example.com", usersapi.TypeAdmin), h.register(ada, 0)
		token := h.login(ada)
		_, err := s.ChangeType(h.as(user), admin.ID, 0)
		wantFault(t, err, fault.Forbidden)
		_, err = s.ChangeType(h.as(admin), admin.ID, 0)
		wantFault(t, err, fault.Conflict)
		_, err = s.ChangeType(h.as(admin), user.ID, 3)
		wantFault(t, err, fault.Invalid)
		_, err = s.ChangeType(h.as(admin), "usr_none", 1)
		wantFault(t, err, fault.NotFound)
		if !h.alive(h.service, token) {
			t.Error("what was refused has ended the token")
		}
		changed, err := s.ChangeType(h.as(admin), user.ID, usersapi.TypeAdmin)
		if err != nil || changed.Type != usersapi.TypeAdmin || h.alive(h.service, token) || h.lastTold() != [2]string{user.ID, ""} {
			t.Errorf("got %+v, %v, told %v", changed, err, h.lastTold())
		}
		account, err := s.Authenticate(t.Context(), h.login(ada))
		if err != nil || account.Type != usersapi.TypeAdmin {
			t.Errorf("after another login: %+v, %v", account, err)
		}
		if trail, err := audit.Of(t.Context(), h.db, user.ID, 10); err != nil || len(trail) != 1 || trail[0].Actor != admin.ID {
			t.Errorf("the trail is %+v, %v", trail, err)
		}
		token = h.login(ada)
		if _, err := s.ChangeType(h.as(admin), user.ID, usersapi.TypeAdmin); err != nil || !h.alive(h.service, token) {
			t.Errorf("the type that it is has ended a token: %v", err)
		}
	})
}

func TestNothingSecretIsShown(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), config.Map{"shop.AdminEmail": "root@example.com", "shop.AdminPassword": password})
	must(t, h.service.OnStartup(t.Context()))
	u := h.register(ada, 0)
	token := h.login(ada)
	_, err := h.service.Login(t.Context(), ada, "not this password")
	wantFault(t, err, fault.Unauthenticated)
	must(t, h.service.ChangePassword(h.as(u), "", password, "another password"))
	answer, err := json.Marshal(u)
	must(t, err)
	for _, text := range append(h.facts(), h.logged(), string(answer)) {
		for _, hidden := range []string{password, token, "not this password", "another password", "argon2id"} {
			if strings.Contains(text, hidden) {
				t.Errorf("%q is in %s", hidden, text)
			}
		}
	}
}
