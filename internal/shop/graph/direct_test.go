package graph_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"m3o/internal/fault"
	"m3o/internal/shop/graph"
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

// mostly draws what is as it should be, and now and then what is not.
func mostly[T any](t *rapid.T, label string, right, wrong []T) T {
	if rapid.IntRange(0, 9).Draw(t, label+" is wrong") == 0 {
		return rapid.SampledFrom(wrong).Draw(t, label)
	}
	return rapid.SampledFrom(right).Draw(t, label)
}

// drawOrder draws a placeOrder: its input is written in the document, in variables or in both, as a client should and as it
// should not.
func drawOrder(t *rapid.T) (query string, variables map[string]any) {
	id := mostly(t, "id", []string{`"prd_1"`, `"a\"b"`, `$id`}, []string{`"é\u2028"`, `1`, `null`, `"""x"""`, `PRD`})
	quantity := mostly(t, "quantity", []string{`1`, `-3`, `2147483647`, `$n`}, []string{`2147483648`, `1.5`, `1e1`, `"1"`, `null`})
	line := `{product_id:` + id + `,quantity:` + quantity + `}`
	lines := mostly(t, "lines", []string{`[` + line + `]`, `[` + line + `,{product_id:"b",quantity:$n}]`, `[]`, `$lines`, `[$line]`}, []string{line, `null`})
	key := mostly(t, "key", []string{``, `,idempotency_key:"k"`, `,idempotency_key:null`, `,idempotency_key:$key`}, []string{`,idempotency_key:7`, `,other:1`})
	input := mostly(t, "input", []string{`{order_products:` + lines + key + `}`, `{order_products:` + lines + key + `}`, `$input`}, []string{`{}`, `null`})
	required := mostly(t, "required", []string{"!"}, []string{"", " = null", " = 7"})
	declared := ""
	for _, one := range [][2]string{
		{"$id", "ID"}, {"$n", "Int"}, {"$key", "String"}, {"$line", "PlaceOrderProduct"}, {"$lines", "[PlaceOrderProduct!]"}, {"$input", "PlaceOrder"},
	} {
		if strings.Contains(strings.ReplaceAll(input, "$lines", ""), one[0]) || one[0] == "$lines" && strings.Contains(input, "$lines") {
			declared += one[0] + ":" + one[1] + map[bool]string{false: required}[one[0] == "$key"] + " "
		}
	}
	if declared != "" {
		declared = "(" + declared + ")"
	}
	product := map[string]any{"product_id": "x", "quantity": 2}
	variables = map[string]any{
		"id":    mostly(t, "$id", []any{"x"}, []any{1, nil}),
		"n":     mostly(t, "$n", []any{3, -7}, []any{1.5, "3", nil}),
		"key":   mostly(t, "$key", []any{"k", nil}, []any{1}),
		"line":  mostly(t, "$line", []any{product}, []any{nil, []any{product}}),
		"lines": mostly(t, "$lines", []any{[]any{product, product}, product, []any{}}, []any{nil, []any{nil}, []any{map[string]any{"product_id": "x"}}}),
		"input": mostly(t, "$input", []any{
			map[string]any{"order_products": []any{product}, "idempotency_key": "k"}, map[string]any{"order_products": product, "idempotency_key": nil},
		}, []any{map[string]any{}, nil}),
	}
	if name := mostly(t, "absent", []string{""}, []string{"id", "n", "key", "line", "lines", "input"}); name != "" {
		delete(variables, name)
	}
	return `mutation` + declared + `{placeOrder(input:` + input + `)` + drawFields(t, "Order", 1) + `}`, variables
}

// TestADirectOrderIsThatOfTheLibrary asks both for the same orders, and compares what was ordered and what was answered.
func TestADirectOrderIsThatOfTheLibrary(t *testing.T) {
	t.Parallel()
	ours, library := setup(t, "MaxComplexity=1000000"), setup(t, "MaxComplexity=1000000")
	library.graph.LibraryOnly()
	for _, s := range []*shop{ours, library} {
		odd(s)
		s.orders.PlaceOrderStub = func(_ context.Context, lines []ordersapi.OrderLine, key string) (ordersapi.Order, error) {
			if key == "k" && len(lines) > 1 {
				return ordersapi.Order{}, productsapi.NewOutOfStock("x", "Lamp")
			}
			made := order("ord_1")
			made.UserID = fmt.Sprint(lines, key)
			return made, nil
		}
	}
	direct := 0
	rapid.Check(t, func(r *rapid.T) {
		query, variables := drawOrder(r)
		a, b := ours.ask(userToken, query, variables), library.ask(userToken, query, variables)
		if a.status != b.status || body(a) != body(b) || !slices.Equal(complaints(a), complaints(b)) {
			r.Errorf("%s %v\nours    %d %s\nlibrary %d %s", query, variables, a.status, a.text, b.status, b.text)
		}
		ordered, wanted := ours.orders.PlaceOrderCallCount(), library.orders.PlaceOrderCallCount()
		if ordered != wanted {
			r.Fatalf("%s %v: %d orders, the library has placed %d", query, variables, ordered, wanted)
		}
		if ordered == 0 {
			return
		}
		if ours.graph.IsDirect(query, variables) {
			direct++
		}
		_, lines, key := ours.orders.PlaceOrderArgsForCall(ordered - 1)
		_, sameLines, sameKey := library.orders.PlaceOrderArgsForCall(wanted - 1)
		if !slices.Equal(lines, sameLines) || key != sameKey {
			r.Errorf("%s %v: ordered %v %q, the library %v %q", query, variables, lines, key, sameLines, sameKey)
		}
	})
	if direct == 0 {
		t.Error("no order was placed directly")
	}
}

// Texts are escaped as encoding/json does it, whatever is in them and nothing else.
func TestTextsAreEscapedAsJSON(t *testing.T) {
	t.Parallel()
	texts := []string{"", "plain", "é", "\u2028", "\u2029", "\ufffd", "\xff", "😀", "a\u0000b", "\x7f"}
	for c := range 256 {
		texts = append(texts, string([]byte{byte(c)}), "a"+string(rune(c))+"z")
	}
	for _, text := range texts {
		want, err := json.Marshal(text)
		if got := graph.Text(text); err != nil || got != string(want) {
			t.Errorf("%q is written as %s, and must be %s (%v)", text, got, want, err)
		}
	}
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
	lines := []any{map[string]any{"product_id": "x", "quantity": 1}}
	variables := map[string]any{"l": lines, "i": map[string]any{"order_products": lines}}
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
		`mutation{placeOrder(input:{order_products:[{product_id:"x",quantity:1}]}){id}}`:                             true,
		`mutation($l:[PlaceOrderProduct!]!,$k:String){placeOrder(input:{order_products:$l,idempotency_key:$k}){id}}`: true,
		`mutation($i:PlaceOrder!){a:placeOrder(input:$i){id}}`:                                                       true,
		`mutation($q:Int=1){placeOrder(input:{order_products:[{product_id:"x",quantity:$q}]}){id}}`:                  false,
		`mutation{placeOrder(input:{order_products:[{product_id:1,quantity:1}]}){id}}`:                               false,
		`mutation{placeOrder(input:{order_products:{product_id:"x",quantity:1}}){id}}`:                               false,
		`mutation{placeOrder(input:{order_products:[{product_id:"x",quantity:1}],idempotency_key:"""k"""}){id}}`:     false,
		`mutation{placeOrder(input:{order_products:[{product_id:"x",quantity:1}]}){id @skip(if:false)}}`:             false,
		`mutation{a:placeOrder(input:{order_products:[]}){id} b:placeOrder(input:{order_products:[]}){id}}`:          false,
		`mutation($i:PlaceOrder={order_products:[]},$n:Int){placeOrder(input:$i){id}}`:                               false,
	} {
		if got := s.graph.IsDirect(query, variables); got != want {
			t.Errorf("%s: %v", query, got)
		}
	}
}
