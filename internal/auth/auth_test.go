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
