package graph_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"m3o/internal/fault"
	"m3o/internal/shop/orders/ordersapi"
	"m3o/internal/shop/products/productsapi"
	"m3o/internal/shop/users/usersapi"
)

// fields are those of each type, with the type that they lead to.
var fields = map[string][][2]string{
	"User":         {{"id"}, {"email"}, {"username"}, {"type"}, {"created_at"}, {"__typename"}},
	"UserPage":     {{"items", "User"}, {"next_cursor"}, {"__typename"}},
	"Product":      {{"id"}, {"name"}, {"description"}, {"price"}, {"stock"}, {"created_at"}, {"__typename"}},
	"ProductPage":  {{"items", "Product"}, {"next_cursor"}, {"__typename"}},
	"Order":        {{"id"}, {"user_id"}, {"price_total"}, {"quantity"}, {"status"}, {"created_at"}, {"__typename"}, {"user", "User"}, {"order_products", "OrderProduct"}},
	"OrderPage":    {{"items", "Order"}, {"next_cursor"}, {"__typename"}},
	"OrderProduct": {{"product_id"}, {"quantity"}, {"price"}, {"name"}, {"__typename"}, {"product", "Product"}},
	"Query": {
		{"users", "User"}, {"usersPage(first: 2)", "UserPage"}, {`user(id: "usr_1")`, "User"}, {`user(id: "broken")`, "User"},
		{`products(first: $n, search: "a\"b")`, "Product"}, {"productsPage(after: null)", "ProductPage"}, {"product(id: $id)", "Product"}, {`product(id: "panics")`, "Product"},
		{"orders", "Order"}, {"ordersPage", "OrderPage"}, {`order(id: "gone")`, "Order"}, {"order(id: $id)", "Order"}, {"__typename"},
	},
}

// drawFields draws what to ask of a type: plain most of the time, with fragments and repeated fields now and then.
func drawFields(t *rapid.T, of string, depth int) string {
	var text strings.Builder
	text.WriteByte('{')
	for i := range rapid.IntRange(1, 5).Draw(t, "fields") {
		f := rapid.SampledFrom(fields[of]).Draw(t, "field")
		if f[1] != "" && depth == 0 {
			f = [2]string{"__typename"}
		}
		what := f[0]
		if f[1] != "" {
			what += drawFields(t, f[1], depth-1)
		}
		switch rapid.IntRange(0, 20).Draw(t, "form") {
		case 0:
			fmt.Fprintf(&text, "...on %s{k%d:%s} ", of, i, what)
		case 1:
			fmt.Fprintf(&text, "k%d:%s @skip(if: false) ", i, what)
		case 2:
			fmt.Fprintf(&text, "k%d:%s k%[1]d:%[2]s ", i, what)
		default:
			fmt.Fprintf(&text, "k%d:%s ", i, what)
		}
	}
	text.WriteByte('}')
	return text.String()
}

// odd lets every service answer with what is odd: texts to be escaped, nothing, errors and panics.
func odd(s *shop) {
	answering(s)
	s.users.GetUsersByIDReturns([]usersapi.User{{ID: "usr_1", Username: "<j&n>\u2028é\x00\"", CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 120_000, time.UTC)}}, nil)
	s.users.GetUsersReturns([]usersapi.User{{ID: "usr_1", Username: "a<b"}, {ID: "usr_2", Username: "a&b"}, {ID: "usr_3", Username: `a"b`}, {ID: "usr_4", Username: "a\\b\t"}}, "", nil)
	s.users.GetUserStub = func(_ context.Context, id string) (usersapi.User, error) {
		if id == "broken" {
			return usersapi.User{}, errors.New("disk I/O error")
		}
		return usersapi.User{ID: id, Username: "ünï"}, nil
	}
	s.products.GetProductsByIDStub = nil
	s.products.GetProductsByIDReturns(nil, fault.New(fault.Unavailable, "products is away"))
	s.products.GetProductStub = func(_ context.Context, id string) (productsapi.Product, error) {
		if id == "panics" {
			panic("at the disco")
		}
		return product(id), nil
	}
	s.orders.GetOrdersReturns([]ordersapi.Order{order("ord_1"), {ID: "ord_2", UserID: "usr_gone"}}, "next", nil)
	s.orders.GetOrderStub = func(_ context.Context, id string) (ordersapi.Order, error) {
		if id == "gone" {
			return ordersapi.Order{}, fault.New(fault.NotFound, "no such order")
		}
		return order(id), nil
	}
}

// TestDirectAnswersAreThoseOfTheLibrary asks both, and compares them byte by byte; errors may come in another order.
func TestDirectAnswersAreThoseOfTheLibrary(t *testing.T) {
	t.Parallel()
	ours, library := setup(t, "MaxComplexity=1000000"), setup(t, "MaxComplexity=1000000")
	odd(ours)
	odd(library)
	library.graph.LibraryOnly()
	rapid.Check(t, func(r *rapid.T) {
		query := "query($n: Int = 3, $id: ID!) {n:products(first:$n){id} i:product(id:$id){id} " + drawFields(r, "Query", 4)[1:]
		variables := map[string]any{"id": "x"}
		a, b := ours.ask(userToken, query, variables), library.ask(userToken, query, variables)
		if a.status != b.status || body(a) != body(b) || !slices.Equal(complaints(a), complaints(b)) {
			r.Errorf("%s\nours    %d %s\nlibrary %d %s", query, a.status, a.text, b.status, b.text)
		}
	})
}

// body is an answer from its data on.
func body(r reply) string { return r.text[strings.LastIndex(r.text, `"data":`):] }

// complaints are the errors of an answer, sorted.
func complaints(r reply) (all []string) {
	for _, e := range r.Errors {
		delete(e.Extensions, "request_id")
		all = append(all, fmt.Sprint(e.Path, e.Message, e.Extensions))
	}
	slices.SortFunc(all, cmp.Compare)
	return all
}

func TestWhatIsAnsweredDirectly(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for query, want := range map[string]bool{
		`{products(first:20){id name description price stock}}`:                    true,
		`{a:product(id:"x"){id} b:product(id:"y"){__typename}}`:                    true,
		`{...f} fragment f on Query{orders{user{id} order_products{product{id}}}}`: true,
		`{product(id:1){id}}`:                                    false,
		`{product(id:"""x"""){id}}`:                              false,
		`{product(id:"\u{1F600}"){id}}`:                          false,
		`{products{id @include(if:true)}}`:                       false,
		`{products{id} products{name}}`:                          false,
		`{products{id id}}`:                                      false,
		`{__typename}`:                                           false,
		`{__schema{queryType{name}}}`:                            false,
		`mutation{login(input:{email:"a",password:"b"}){token}}`: false,
	} {
		if got := s.graph.IsDirect(query); got != want {
			t.Errorf("%s: %v", query, got)
		}
	}
}
