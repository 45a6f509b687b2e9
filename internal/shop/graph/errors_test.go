package graph_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"m3o/internal/fault"
	"m3o/internal/shop/orders/ordersapi"
	"m3o/internal/shop/products/productsapi"
)

func TestFaultsHaveCodes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err        error
		message    string
		extensions map[string]any
	}{
		{fault.New(fault.Unauthenticated, "log in"), "log in", map[string]any{"code": "UNAUTHENTICATED"}},
		{fault.New(fault.Forbidden, "not yours"), "not yours", map[string]any{"code": "FORBIDDEN"}},
		{fault.New(fault.NotFound, "no such order"), "no such order", map[string]any{"code": "NOT_FOUND"}},
		{fault.New(fault.Conflict, "another order has that key"), "another order has that key", map[string]any{"code": "CONFLICT"}},
		{fault.Wrap(fault.Unavailable, errors.New("dial tcp 10.0.0.1"), "orders is away"), "orders is away", map[string]any{"code": "UNAVAILABLE"}},
		{fault.New(fault.Limited, "too often").After(1500 * time.Millisecond), "too often", map[string]any{"code": "UNAVAILABLE", "retry_after": 2.0}},
		{fmt.Errorf("place: %w", productsapi.NewOutOfStock("prd_1", "Lamp")), "product: Lamp with id: prd_1 is out of stock", map[string]any{"code": "OUT_OF_STOCK"}},
		{
			fault.BadField("order_products[1].quantity", "must be at least 1"), "order_products[1].quantity: must be at least 1",
			map[string]any{"code": "BAD_INPUT", "field": "order_products[1].quantity", "fields": []any{map[string]any{"name": "order_products[1].quantity", "detail": "must be at least 1"}}},
		},
		{ // as the schema calls it, not the contract
			fault.BadField("limit", "0 is not between 1 and 1000"), "first: 0 is not between 1 and 1000",
			map[string]any{"code": "BAD_INPUT", "field": "first", "fields": []any{map[string]any{"name": "first", "detail": "0 is not between 1 and 1000"}}},
		},
	} {
		t.Run(test.message, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.orders.PlaceOrderReturns(ordersapi.Order{}, test.err)
			got := s.ask(userToken, `mutation{placeOrder(input:{order_products:[]}){id}}`)
			if len(got.Errors) != 1 || got.status != 200 || got.Data != nil {
				t.Fatalf("%d %s", got.status, got.text)
			}
			if e := got.Errors[0]; e.Message != test.message || cmp.Diff(test.extensions, e.Extensions) != "" || cmp.Diff([]any{"placeOrder"}, e.Path) != "" {
				t.Error(got.text)
			}
			if strings.Contains(got.text, "10.0.0.1") {
				t.Errorf("the cause has leaked: %s", got.text)
			}
		})
	}
}

func TestInternalTextGoesToTheLogOnly(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.orders.GetOrderReturns(ordersapi.Order{}, errors.New("pq: password of shop is hunter2"))
	s.products.GetProductStub = func(context.Context, string) (productsapi.Product, error) { panic("a secret in a panic") }
	for query, secret := range map[string]string{`{order(id:"x"){id}}`: "hunter2", `{product(id:"x"){id}}`: "a secret in a panic"} {
		got := s.ask(userToken, query)
		if got.status != 200 || got.code() != "INTERNAL" || got.Errors[0].Message != "internal error" || strings.Contains(got.text, secret) {
			t.Errorf("%d %s", got.status, got.text)
		}
		if !strings.Contains(s.log.String(), secret) {
			t.Errorf("the log does not know it: %s", s.log)
		}
	}
}

func TestErrorsOfManyRowsAreCounted(t *testing.T) {
	t.Parallel()
	s := setup(t)
	all := make([]ordersapi.Order, 50)
	for i := range all {
		all[i] = order(fmt.Sprint("ord_", i))
	}
	s.orders.GetOrdersReturns(all, "", nil)
	s.users.GetUsersByIDReturns(nil, fault.New(fault.Unavailable, "users is away"))
	got := s.ask(userToken, `{orders{id user{id}}}`)
	if len(got.Errors) != 20 || got.code() != "UNAVAILABLE" || len(got.Data["orders"].([]any)) != 50 {
		t.Errorf("%d errors: %s", len(got.Errors), got.text)
	}
	if calls := s.users.GetUsersByIDCallCount(); calls != 1 {
		t.Errorf("users was asked %d times", calls)
	}
}
