package graph_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// repeated joins n copies of a text with its number in it.
func repeated(n int, format string) string {
	var all strings.Builder
	for i := range n {
		fmt.Fprintf(&all, format, i)
	}
	return all.String()
}

func TestAbsurdOperationsAreRefusedBeforeTheyAreExecuted(t *testing.T) {
	t.Parallel()
	s := setup(t)
	bomb := "{...f0}" + repeated(20, "fragment f%[1]d on Query{...g%[1]d ...g%[1]d} ") + repeated(20, "fragment g%[1]d on Query{...f%[1]dx} ")
	bomb = strings.NewReplacer(func() (pairs []string) {
		for i := range 20 {
			pairs = append(pairs, fmt.Sprintf("f%dx", i), fmt.Sprintf("f%d", i+1))
		}
		return pairs
	}()...).Replace(bomb) + "fragment f20 on Query{products{id}}"
	for _, test := range []struct{ name, query, message string }{
		{"AliasesByTheThousand", "{" + repeated(1000, "a%d:products{id} ") + "}", "more than 1000 selections"},
		{"AliasesOfLists", "{" + repeated(200, "a%d:products{id name} ") + "}", "may cost"},
		{"AliasesOfLogins", "mutation{" + repeated(21, `a%d:login(input:{email:"a@b.example",password:"x"}){token} `) + "}", "may cost"},
		{"Breadth", "{products{" + repeated(900, "a%d:id ") + "}}", "may cost"},
		{"BreadthOfAnObject", `{product(id:"x"){` + repeated(1100, "a%d:id ") + "}}", "more than 1000 selections"},
		{"Rows", `{orders(first:1000){order_products{product_id name}}}`, "may cost"},
		{"RowsByVariable", `query($n:Int=1000){orders(first:$n){order_products{product_id name}}}`, "may cost"},
		{"RowsOfAPage", `{ordersPage(first:1000){items{order_products{product_id name}}}}`, "may cost"},
		{"NestedBrackets", strings.Repeat("{products", 5000) + strings.Repeat("}", 5000), "nesting depth"},
		{"NestedFields", strings.Repeat("{products", 50) + "{id}" + strings.Repeat("}", 50), "depth"},
		{"NestedLists", `{product(id:` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `){id}}`, ""},
		{"NestedIntrospection", "{__schema{types{" + strings.Repeat("fields{type{", 9) + "name" + strings.Repeat("}}", 9) + "}}}", "depth"},
		{"AChainOfFragments", bomb, "more than 1000 selections"},
		{"AFragmentInItself", `{...a} fragment a on Query{products{id} ...a}`, "within itself"},
		{"ALongText", "{products{id}} #" + strings.Repeat("x", 64<<10), "65552 bytes, and 65536 is the most"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			got := s.ask("", test.query)
			if got.status != 422 || !strings.Contains(got.text, test.message) || !strings.HasPrefix(got.code(), "GRAPHQL_") {
				t.Errorf("%d %.500s", got.status, got.text)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("refusing took %s", took)
			}
			if len(got.Errors) > 20 || len(got.text) > 64<<10 {
				t.Errorf("%d errors in %d bytes", len(got.Errors), len(got.text))
			}
		})
	}
	t.Cleanup(func() { // after the subtests
		if n := s.products.GetProductsCallCount() + s.orders.GetOrdersCallCount() + s.users.LoginCallCount(); n != 0 {
			t.Errorf("%d fields were executed", n)
		}
	})
}

func TestOrdinaryOperationsAreWithinTheLimits(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for name, query := range map[string]string{
		"AThousandProducts": `{products(first:1000){id name description price stock}}`,
		"OrdersInFull":      `{orders{id status user{id} order_products{name quantity product{id stock}}}}`,
		"AHundredInFull":    `{ordersPage(first:100){items{id status user{id} order_products{name quantity product{id stock}}} next_cursor}}`,
		"TwentyOrders":      "mutation{" + repeated(19, `a%d:placeOrder(input:{order_products:[{product_id:"x",quantity:1}]}){id} `) + "}",
	} {
		if got := s.ask(adminToken, query); got.status != 200 || got.Errors != nil {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
}

func TestIntrospectionCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	asked, err := os.ReadFile("testdata/introspection.graphql") // as GraphiQL sends it
	if err != nil {
		t.Fatal(err)
	}
	on, off := setup(t), setup(t, "Introspection=false")
	got := on.ask("", string(asked))
	if got.status != 200 || got.Errors != nil || !strings.Contains(got.text, `"PlaceOrderProduct"`) {
		t.Errorf("on: %d %.500s", got.status, got.text)
	}
	for _, query := range []string{string(asked), `{__type(name:"User"){name}}`, `{...a} fragment a on Query{x:__schema{queryType{name}}}`} {
		if got := off.ask("", query); got.status != 422 || !strings.Contains(got.text, "introspection is turned off") {
			t.Errorf("off: %d %.500s", got.status, got.text)
		}
	}
	if got := off.ask("", `{__typename products{__typename}}`); got.text != `{"data":{"__typename":"Query","products":[]}}` {
		t.Errorf("off, of an object: %s", got.text)
	}
}
