package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"m3o/internal/auth"
	"m3o/internal/shop/orders/ordersapi"
	"m3o/internal/shop/products/productsapi"
	"m3o/internal/shop/users/usersapi"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares an answer with a file, member by member in its order.
func golden(t *testing.T, name string, got reply) {
	t.Helper()
	var text bytes.Buffer
	if err := json.Indent(&text, []byte(got.text), "", "  "); err != nil {
		t.Fatalf("%s: %v", got.text, err)
	}
	text.WriteByte('\n')
	file := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// answering lets every service answer.
func answering(s *shop) {
	u := usersapi.User{ID: "usr_1", Username: "jane", Email: "jane@example.com", CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 600_000, time.UTC)}
	s.users.GetUsersReturns([]usersapi.User{u, {ID: "usr_9", Username: "boss", Email: "boss@example.com", Type: usersapi.TypeAdmin}}, "", nil)
	s.users.GetUserStub = func(_ context.Context, id string) (usersapi.User, error) { u.ID = id; return u, nil }
	s.users.GetUsersByIDReturns([]usersapi.User{u}, nil)
	s.users.RegisterUserStub = func(_ context.Context, email, username, _ string, kind int) (usersapi.User, error) {
		return usersapi.User{ID: "usr_2", Email: email, Username: username, Type: kind}, nil
	}
	s.users.LoginReturns("a.b.c", nil)
	s.products.GetProductsReturns([]productsapi.Product{product("prd_1"), product("prd_2")}, "next", nil)
	s.products.GetProductStub = func(_ context.Context, id string) (productsapi.Product, error) { return product(id), nil }
	s.products.GetProductsByIDStub = func(_ context.Context, ids []string) (found []productsapi.Product, err error) {
		for _, id := range ids {
			found = append(found, product(id))
		}
		return found, nil
	}
	s.products.AddProductStub = func(_ context.Context, name, description string, price, stock int) (productsapi.Product, error) {
		return productsapi.Product{ID: "prd_3", Name: name, Description: description, Price: price, Stock: stock}, nil
	}
	s.products.UpdateInventoryReturns(true, nil)
	s.orders.GetOrdersReturns([]ordersapi.Order{order("ord_1")}, "", nil)
	s.orders.GetOrderStub = func(_ context.Context, id string) (ordersapi.Order, error) { return order(id), nil }
	s.orders.PlaceOrderStub = func(_ context.Context, lines []ordersapi.OrderLine, _ string) (ordersapi.Order, error) {
		o := order("ord_2")
		o.Lines = []ordersapi.OrderProduct{{ProductID: lines[0].ProductID, Name: "Lamp", Price: 25, Quantity: lines[0].Quantity}}
		o.PriceTotal, o.Quantity = 25*lines[0].Quantity, lines[0].Quantity
		return o, nil
	}
}

// TestEveryExampleAsItIsWritten asks what the seed's README asks, and what the playground adds, letter by letter.
func TestEveryExampleAsItIsWritten(t *testing.T) {
	t.Parallel()
	s := setup(t)
	answering(s)
	files, err := filepath.Glob("examples/*.graphql")
	if err != nil || len(files) < 7 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "subscription {") {
			continue
		}
		golden(t, strings.TrimSuffix(filepath.Base(file), ".graphql"), s.ask(adminToken, string(text)))
	}
}

func TestArgumentsReachTheServices(t *testing.T) {
	t.Parallel()
	s := setup(t)
	answering(s)
	got := s.ask(userToken, `query($n: Int = 3) { 
		users(first: $n, after: "c", search: "j") { id }
		products(first: 7, search: null) { id }
		ordersPage(after: "d") { items { id } next_cursor }
		productsPage { next_cursor }
	}`)
	if got.Errors != nil {
		t.Fatal(got.text)
	}
	if ctx, search, limit, cursor := s.users.GetUsersArgsForCall(0); search != "j" || limit != 3 || cursor != "c" || who(ctx).ID != "usr_1" {
		t.Errorf("users: %q %d %q as %v", search, limit, cursor, who(ctx))
	}
	if _, search, limit, cursor := s.orders.GetOrdersArgsForCall(0); search != "" || limit != 0 || cursor != "d" {
		t.Errorf("orders: %q %d %q", search, limit, cursor)
	}
	if data := fmt.Sprint(got.Data["ordersPage"], got.Data["productsPage"]); data != "map[items:[map[id:ord_1]] next_cursor:<nil>] map[next_cursor:next]" {
		t.Error(data)
	}
	got = s.ask(userToken, `mutation($input: PlaceOrder!) { placeOrder(input: $input) { id status } }`, map[string]any{
		"input": map[string]any{"order_products": []any{map[string]any{"product_id": "prd_1", "quantity": 2}, map[string]any{"product_id": "prd_2", "quantity": 1}}, "idempotency_key": "k"},
	})
	if got.Errors != nil {
		t.Fatal(got.text)
	}
	_, lines, key := s.orders.PlaceOrderArgsForCall(0)
	if want := []ordersapi.OrderLine{{ProductID: "prd_1", Quantity: 2}, {ProductID: "prd_2", Quantity: 1}}; key != "k" || !slices.Equal(lines, want) {
		t.Errorf("placed %v with key %q", lines, key)
	}
	s.ask(adminToken, `mutation{registerUser(input:{email:"a@b.example",username:"a",password:"secret12",type:1}){id}}`)
	if ctx, email, username, password, kind := s.users.RegisterUserArgsForCall(0); email != "a@b.example" || username != "a" || password != "secret12" || kind != 1 || who(ctx).Type != auth.TypeShopAdmin {
		t.Errorf("registered %q %q %q %d as %v", email, username, password, kind, who(ctx))
	}
	s.ask(adminToken, `mutation{updateInventory(input:{id:"prd_1",type:2,number:3}){success}}`)
	if _, id, kind, number := s.products.UpdateInventoryArgsForCall(0); id != "prd_1" || kind != 2 || number != 3 {
		t.Errorf("updated %q %d %d", id, kind, number)
	}
}

func TestAVariableThatDoesNotFitStopsEverything(t *testing.T) {
	t.Parallel()
	s := setup(t)
	answering(s)
	const query = `mutation($n: Int!) {
		first: placeOrder(input: {order_products: [{product_id: "prd_1", quantity: 1}]}) { id }
		second: placeOrder(input: {order_products: [{product_id: "prd_1", quantity: $n}]}) { id }
	}`
	for name, n := range map[string]any{"TooLarge": 1 << 31, "AFraction": 1.5, "AText": "1", "ABool": true, "Null": nil, "AList": []any{1}} {
		if got := s.ask(userToken, query, map[string]any{"n": n}); got.status != 422 || got.Data != nil || got.code() != "BAD_INPUT" || got.Errors[0].Extensions["field"] != "order_products[0].quantity" {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
	got := s.ask(userToken, `mutation($i: PlaceOrder!) { placeOrder(input: $i) { id } }`, map[string]any{
		"i": map[string]any{"order_products": []any{map[string]any{"product_id": "x", "quantity": 1}, map[string]any{"product_id": "x", "quantity": 3_000_000_000}}},
	})
	if got.status != 422 || !strings.Contains(got.text, "$i.order_products[1].quantity: 3000000000 is no Int") {
		t.Errorf("%d %s", got.status, got.text)
	}
	if n := s.orders.PlaceOrderCallCount(); n != 0 {
		t.Errorf("%d orders were placed", n)
	}
}

// TestAListCostsABoundedNumberOfReads counts the calls behind a list of orders with everything that they refer to.
func TestAListCostsABoundedNumberOfReads(t *testing.T) {
	t.Parallel()
	s := setup(t)
	answering(s)
	all := make([]ordersapi.Order, 90)
	for i := range all {
		all[i] = order(fmt.Sprint("ord_", i))
		all[i].UserID = fmt.Sprint("usr_", i%7)
		all[i].Lines[0].ProductID = fmt.Sprint("prd_", i%11)
	}
	s.orders.GetOrdersReturns(all, "", nil)
	got := s.ask(adminToken, `{orders(first: 90) {id user{username} order_products{name product{id stock}}}}`)
	if got.Errors != nil || len(got.Data["orders"].([]any)) != 90 {
		t.Fatal(got.text)
	}
	if !strings.Contains(got.text, `{"id":"ord_1","user":{"username":"jane"},"order_products":[{"name":"Lamp","product":{"id":"prd_1","stock":4}}]}`) || !strings.Contains(got.text, `{"id":"ord_2","user":null`) {
		t.Errorf("%s", got.text)
	}
	if o, u, p := s.orders.GetOrdersCallCount(), s.users.GetUsersByIDCallCount(), s.products.GetProductsByIDCallCount(); o != 1 || u != 1 || p != 1 {
		t.Errorf("%d reads of orders, %d of users, %d of products", o, u, p)
	}
	if _, ids := s.users.GetUsersByIDArgsForCall(0); len(ids) != 7 {
		t.Errorf("asked for users %v", ids)
	}
	if ctx, ids := s.products.GetProductsByIDArgsForCall(0); len(ids) != 11 || who(ctx).ID != "usr_9" {
		t.Errorf("asked for products %v as %v", ids, who(ctx))
	}
	s.ask(adminToken, `{orders {id order_products{name}}}`)
	if u, p := s.users.GetUsersByIDCallCount(), s.products.GetProductsByIDCallCount(); u != 1 || p != 1 {
		t.Error("what nobody asks for is read")
	}
}

// TestVariablesAreCheckedEachTime sends documents that are known already, with variables that do not fit.
func TestVariablesAreCheckedEachTime(t *testing.T) {
	t.Parallel()
	s := setup(t)
	answering(s)
	const one = `query($id: ID!, $n: Int) { product(id: $id) { id } products(first: $n) { id } }`
	const place = `mutation($i: PlaceOrder!) { placeOrder(input: $i) { id } }`
	line := map[string]any{"product_id": "prd_1", "quantity": 1}
	for _, good := range []struct {
		query     string
		variables map[string]any
	}{{one, map[string]any{"id": "prd_1", "n": 1}}, {one, map[string]any{"id": "prd_1", "n": nil}}, {place, map[string]any{"i": map[string]any{"order_products": []any{line}}}}} {
		if got := s.ask(userToken, good.query, good.variables); got.status != 200 || got.Errors != nil {
			t.Fatalf("%v: %d %s", good.variables, got.status, got.text)
		}
	}
	reads, orders := s.products.GetProductCallCount(), s.orders.PlaceOrderCallCount()
	for _, bad := range []struct {
		query     string
		variables map[string]any
		message   string
	}{
		{one, nil, "$id: is required"},
		{one, map[string]any{"id": nil}, "$id: is required"},
		{one, map[string]any{"id": []any{"a"}}, "$id: is a list"},
		{one, map[string]any{"id": "x", "n": map[string]any{}}, "$n: is no Int"},
		{place, map[string]any{"i": "x"}, "$i: is no object"},
		{place, map[string]any{"i": map[string]any{}}, "$i.order_products: is required"},
		{place, map[string]any{"i": map[string]any{"order_products": []any{line}, "key": "x"}}, "$i.key: is no field of PlaceOrder"},
		{place, map[string]any{"i": map[string]any{"order_products": []any{map[string]any{"product_id": "x"}}}}, "$i.order_products[0].quantity: is required"},
		{place, map[string]any{"i": map[string]any{"order_products": []any{line, nil}}}, "$i.order_products[1]: is required"},
	} {
		if got := s.ask(userToken, bad.query, bad.variables); got.status != 422 || got.code() != "BAD_INPUT" || !strings.Contains(got.Errors[0].Message, bad.message) {
			t.Errorf("%v: %d %s", bad.variables, got.status, got.text)
		}
	}
	if s.products.GetProductCallCount() != reads || s.orders.PlaceOrderCallCount() != orders {
		t.Error("something was executed")
	}
}
