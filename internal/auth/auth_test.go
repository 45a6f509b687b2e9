package auth_test

import (
	"context"
	"testing"

	"m3o/internal/auth"
	"m3o/internal/fault"
)

func TestOwnOrAdmin(t *testing.T) {
	t.Parallel()
	customer := auth.With(t.Context(), auth.Account{ID: "cus_a", Type: auth.TypeCustomer})
	admin := auth.With(t.Context(), auth.Account{ID: "cus_z", Type: auth.TypeAdmin})
	for _, test := range []struct {
		name, asked, want string
		ctx               context.Context
		code              fault.Code
	}{
		{name: "NobodyIsRefused", ctx: t.Context(), code: fault.Unauthenticated},
		{name: "EmptyIsOwn", ctx: customer, want: "cus_a"},
		{name: "OwnByName", ctx: customer, asked: "cus_a", want: "cus_a"},
		{name: "AnothersIsRefused", ctx: customer, asked: "cus_b", code: fault.Forbidden},
		{name: "AdminMayNameAnyone", ctx: admin, asked: "cus_b", want: "cus_b"},
		{name: "ServiceMayNameAnyone", ctx: auth.AsService(t.Context(), "gateway"), asked: "cus_b", want: "cus_b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := auth.Own(test.ctx, test.asked)
			if got != test.want || fault.CodeOf(err) != test.code {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	if err := auth.Admin(customer); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a customer passed as admin: %v", err)
	}
	if err := auth.Admin(admin); err != nil {
		t.Error(err)
	}
}

func TestShopOwnOrShopAdmin(t *testing.T) {
	t.Parallel()
	user := auth.With(t.Context(), auth.Account{ID: "usr_a", Type: auth.TypeShopUser})
	shopAdmin := auth.With(t.Context(), auth.Account{ID: "usr_z", Type: auth.TypeShopAdmin})
	customer := auth.With(t.Context(), auth.Account{ID: "cus_a", Type: auth.TypeCustomer})
	for _, test := range []struct {
		name, asked, want string
		ctx               context.Context
		code              fault.Code
	}{
		{name: "NobodyIsRefused", ctx: t.Context(), asked: "usr_a", code: fault.Unauthenticated},
		{name: "EmptyIsOwn", ctx: user, want: "usr_a"},
		{name: "OwnByName", ctx: user, asked: "usr_a", want: "usr_a"},
		{name: "AnothersIsRefused", ctx: user, asked: "usr_b", code: fault.Forbidden},
		{name: "ShopAdminMayNameAnyone", ctx: shopAdmin, asked: "usr_b", want: "usr_b"},
		{name: "EmptyIsTheAdminsOwn", ctx: shopAdmin, want: "usr_z"},
		{name: "PlatformAdminMayNameAnyone", ctx: auth.With(t.Context(), auth.Account{ID: "cus_z", Type: auth.TypeAdmin}), asked: "usr_b", want: "usr_b"},
		{name: "ACustomerOfThePlatformHasNothingHere", ctx: customer, asked: "cus_a", code: fault.Forbidden},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := auth.ShopOwn(test.ctx, test.asked)
			if fault.CodeOf(err) != test.code || err == nil && got != test.want {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	if err := auth.Admin(shopAdmin); !fault.Is(err, fault.Forbidden) {
		t.Errorf("an admin of the shop passed as one of the platform: %v", err)
	}
	if err := auth.ShopAdmin(user); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a user passed as admin: %v", err)
	}
}

func TestALineIsOneClient(t *testing.T) {
	t.Parallel()
	for client, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "::ffff:192.0.2.7", "2001:db8:1:2:3::4": "2001:db8:1:2::/64",
		"fe80::1%eth0": "fe80::/64", "": "", "unix": "unix",
	} {
		if got := auth.Network(client); got != want {
			t.Errorf("Network(%q) = %q, want %q", client, got, want)
		}
	}
}
