package graph_test

import (
	"strings"
	"testing"
)

// ordersPlaced is how many orders have reached the service.
func (s *shop) ordersPlaced() int { return s.orders.PlaceOrderCallCount() }

// TestANullWhereNoneMayBeStopsEverything sends null for variables with a default, which the library finds out only when the
// mutation before has been executed.
func TestANullWhereNoneMayBeStopsEverything(t *testing.T) {
	t.Parallel()
	s := setup(t)
	answering(s)
	const first = ` a:placeOrder(input:{order_products:[{product_id:"P",quantity:1}]}){id} `
	for name, test := range map[string]struct{ query, variable, field, message string }{
		"AField":       {`mutation($v:Int=3){` + first + `b:placeOrder(input:{order_products:[{product_id:"P",quantity:$v}]}){id}}`, "v", "order_products[0].quantity", "$v: is null, and order_products[0].quantity must not be"},
		"AList":        {`mutation($v:[PlaceOrderProduct!]=[]){` + first + `b:placeOrder(input:{order_products:$v}){id}}`, "v", "order_products", "$v: is null"},
		"AnItem":       {`mutation($v:PlaceOrderProduct={product_id:"P",quantity:1}){` + first + `b:placeOrder(input:{order_products:[$v]}){id}}`, "v", "order_products[0]", "$v: is null"},
		"AnInput":      {`mutation($v:PlaceOrder={order_products:[]}){` + first + `b:placeOrder(input:$v){id}}`, "v", "input", "$v: is null"},
		"AnID":         {`mutation($v:ID="P"){` + first + `b:placeOrder(input:{order_products:[{product_id:$v,quantity:1}]}){id}}`, "v", "order_products[0].product_id", "$v: is null"},
		"Skip":         {`mutation($v:Boolean=true){` + first + `b:logout@skip(if:$v){success}}`, "v", "if", "$v: is null, and if must not be"},
		"Include":      {`mutation($v:Boolean=true){` + first + `b:logout@include(if:$v){success}}`, "v", "if", "$v: is null"},
		"OfASpread":    {`mutation($v:Boolean=true){` + first + `...f@skip(if:$v)} fragment f on Mutation{logout{success}}`, "v", "if", "$v: is null"},
		"OfAFragment":  {`mutation($v:Boolean=true){` + first + `...on Mutation@include(if:$v){logout{success}}}`, "v", "if", "$v: is null"},
		"InAFragment":  {`mutation($v:Int=3){` + first + `...f} fragment f on Mutation{b:placeOrder(input:{order_products:[{product_id:"P",quantity:$v}]}){id}}`, "v", "order_products[0].quantity", "$v: is null"},
		"OfAFieldDeep": {`mutation($v:Boolean=true){a:placeOrder(input:{order_products:[{product_id:"P",quantity:1}]}){id user{id @skip(if:$v)}}}`, "v", "if", "$v: is null"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := s.ask(userToken, test.query, map[string]any{test.variable: nil})
			if got.status != 422 || got.code() != "BAD_INPUT" || !strings.Contains(got.Errors[0].Message, test.message) || got.Errors[0].Extensions["field"] != test.field {
				t.Errorf("%d %s", got.status, got.text)
			}
		})
	}
	t.Cleanup(func() { // after the subtests
		if n := s.ordersPlaced() + s.users.LogoutCallCount(); n != 0 {
			t.Errorf("%d fields were executed", n)
		}
	})
}

func TestANullWhereOneMayBeIsTaken(t *testing.T) {
	t.Parallel()
	s := setup(t)
	answering(s)
	for query, variables := range map[string]map[string]any{
		`query($n:Int=3,$s:String="x"){products(first:$n,search:$s){id}}`:                                                               {"n": nil, "s": nil},
		`mutation($k:String="k"){placeOrder(input:{order_products:[{product_id:"P",quantity:1}],idempotency_key:$k}){id}}`:              {"k": nil},
		`mutation($q:Int=3){placeOrder(input:{order_products:[{product_id:"P",quantity:$q}]}){id}}`:                                     {},
		`mutation($l:[PlaceOrderProduct!]=[{product_id:"""P""",quantity:1}]){placeOrder(input:{order_products:$l}){id}}`:                {},
		`mutation($i:PlaceOrder={order_products:{product_id:"P",quantity:1},idempotency_key:"""k"""}){a:placeOrder(input:$i){id}}`:      nil,
		`query($b:Boolean=true){products{id @skip(if:$b) name}}`:                                                                        {},
		`mutation($q:Int=3){placeOrder(input:{order_products:[{product_id:"P",quantity:$q},{product_id:5,quantity:-2147483648}]}){id}}`: {"q": 4},
	} {
		if got := s.ask(userToken, query, variables); got.status != 200 || got.Errors != nil {
			t.Errorf("%s: %d %s", query, got.status, got.text)
		}
	}
}

// TestAValueThatDoesNotFitIsBadInput has each in a document and in variables; the first mutation must not be executed.
func TestAValueThatDoesNotFitIsBadInput(t *testing.T) {
	t.Parallel()
	s := setup(t)
	answering(s)
	const place = `mutation{a:logout{success} b:placeOrder(input:{order_products:[{product_id:"P",quantity:1},{product_id:"P",quantity:VALUE}]}){id}}`
	const create = `mutation($i:CreateProduct!){createProduct(input:$i){id}}`
	product := func(name string, value any) map[string]any {
		all := map[string]any{"name": "a", "description": "b", "price": 1, "stock": 1}
		all[name] = value
		return map[string]any{"i": all}
	}
	for name, test := range map[string]struct {
		query     string
		variables any
		field     any // nil: not known
	}{
		"TooLarge":                {strings.Replace(place, "VALUE", "2147483648", 1), nil, "order_products[1].quantity"},
		"Endless":                 {strings.Replace(place, "VALUE", "1e999", 1), nil, "order_products[1].quantity"},
		"AFraction":               {strings.Replace(place, "VALUE", "1.5", 1), nil, "order_products[1].quantity"},
		"AnExponent":              {strings.Replace(place, "VALUE", "1e1", 1), nil, nil},
		"AText":                   {strings.Replace(place, "VALUE", `"1"`, 1), nil, "order_products[1].quantity"},
		"Null":                    {strings.Replace(place, "VALUE", "null", 1), nil, "order_products[1].quantity"},
		"AList":                   {strings.Replace(place, "VALUE", "[1]", 1), nil, "order_products[1].quantity"},
		"AnEmptyList":             {strings.Replace(place, "VALUE", "[]", 1), nil, "order_products[1].quantity"},
		"AnObject":                {strings.Replace(place, "VALUE", "{a:1}", 1), nil, "order_products[1].quantity"},
		"AWord":                   {strings.Replace(place, "VALUE", "ONE", 1), nil, "order_products[1].quantity"},
		"AListForABoolean":        {`mutation{a:logout{success} b:logout@skip(if:[true]){success}}`, nil, "if"},
		"AnUnknownMember":         {`mutation{a:logout{success} b:placeOrder(input:{order_products:[],color:"red"}){id}}`, nil, "color"},
		"AMissingMember":          {`mutation{a:logout{success} b:placeOrder(input:{order_products:[{product_id:"P"}]}){id}}`, nil, "order_products[0].quantity"},
		"AnArgument":              {`{products(first:"1"){id}}`, nil, "first"},
		"ADefault":                {`query($n:Int="1"){products(first:$n){id}}`, nil, nil},
		"ADefaultList":            {`query($n:Int=[1]){products(first:$n){id}}`, nil, "first"},
		"InVariablesTooLarge":     {create, product("price", 2147483648), "price"},
		"InVariablesAFraction":    {create, product("price", 1.5), "price"},
		"InVariablesAText":        {create, product("stock", "1"), "stock"},
		"InVariablesNull":         {create, product("stock", nil), "stock"},
		"InVariablesUnknown":      {create, product("color", 1), "color"},
		"InVariablesAnEmptyList":  {create, product("name", []any{}), "name"},
		"InVariablesNothing":      {create, nil, "input"},
		"InVariablesAListForAnID": {`query($i:ID!){product(id:$i){id}}`, map[string]any{"i": []any{"a"}}, "id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := s.ask(adminToken, test.query, test.variables)
			if got.status != 422 || got.code() != "BAD_INPUT" || got.Errors[0].Extensions["field"] != test.field {
				t.Errorf("%d %s", got.status, got.text)
			}
			if strings.Contains(got.text, "interface") || strings.Contains(got.text, "map[") || strings.Contains(got.text, "float64") {
				t.Errorf("Go's types are shown: %s", got.text)
			}
		})
	}
	t.Cleanup(func() { // after the subtests
		if n := s.ordersPlaced() + s.users.LogoutCallCount() + s.products.AddProductCallCount() + s.products.GetProductsCallCount(); n != 0 {
			t.Errorf("%d fields were executed", n)
		}
	})
}

func TestAllThatDoesNotFitIsNamed(t *testing.T) {
	t.Parallel()
	s := setup(t)
	got := s.ask(adminToken, `mutation{createProduct(input:{name:1,description:"b",price:1.5,stock:1}){id}}`)
	if fields, ok := got.Errors[0].Extensions["fields"].([]any); !ok || len(fields) != 2 || got.Errors[0].Message != "name: 1 is no String; price: 1.5 is no Int, a whole number up to 2147483647" {
		t.Errorf("%s", got.text)
	}
}

func TestAWholeNumberIsAnID(t *testing.T) {
	t.Parallel()
	s := setup(t)
	answering(s)
	const one = `query($i:ID!){product(id:$i){id}}`
	for _, test := range []struct {
		query     string
		variables map[string]any
	}{
		{one, map[string]any{"i": 5}},
		{`query($i:ID!){product(id:$i){id @include(if:true)}}`, map[string]any{"i": 5}},
		{`query($i:ID=5){product(id:$i){id}}`, nil},
		{`query($i:ID=5){product(id:$i){id @include(if:true)}}`, nil},
		{`{product(id:5){id}}`, nil},
	} {
		if got := s.ask(userToken, test.query, test.variables); got.text != `{"data":{"product":{"id":"5"}}}` {
			t.Errorf("%s: %d %s", test.query, got.status, got.text)
		}
	}
	for name, id := range map[string]any{"AFraction": 5.5, "ABool": true, "TooLargeToBeSure": 1e20} {
		if got := s.ask(userToken, one, map[string]any{"i": id}); got.status != 422 || got.code() != "BAD_INPUT" || got.Errors[0].Extensions["field"] != "id" {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
	const place = `mutation($l:[PlaceOrderProduct!]!){placeOrder(input:{order_products:$l}){id}}`
	for _, lines := range []any{[]any{map[string]any{"product_id": 7, "quantity": 2}}, map[string]any{"product_id": 7, "quantity": 2}} {
		if got := s.ask(userToken, place, map[string]any{"l": lines}); got.Errors != nil {
			t.Fatal(got.text)
		}
		_, placed, _ := s.orders.PlaceOrderArgsForCall(s.ordersPlaced() - 1)
		if len(placed) != 1 || placed[0].ProductID != "7" || placed[0].Quantity != 2 {
			t.Errorf("placed %v", placed)
		}
	}
}

func TestNumbersThatGraphQLForbidsAreRefused(t *testing.T) {
	t.Parallel()
	s := setup(t)
	answering(s)
	for _, number := range []string{"1_0", "010", "007", "02", "09", "00", "-01", "0x10", "0b1", "0o7", "0x1p2", "1.", ".5", "-.5", "1.e1", "1e", "1a", "1_", "1.5.2", "- 5", "01.5", "1__0"} {
		got := s.ask(userToken, "{\nproducts(first: "+number+"){id}}")
		if got.status != 422 || got.code() != "GRAPHQL_PARSE_FAILED" || !strings.Contains(got.text, "is no number") || !strings.Contains(got.text, `"locations":[{"line":2,"column":17}]`) {
			t.Errorf("%s: %d %s", number, got.status, got.text)
		}
	}
	for _, number := range []string{"1", "10", "105", "7,"} {
		if got := s.ask(userToken, "{products(first:"+number+"){id}}"); got.status != 200 {
			t.Errorf("%s: %d %s", number, got.status, got.text)
		}
	}
}

func TestControlCharactersAreRefused(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for text, want := range map[string]string{
		"{products{id}\x00}":           `control character U+0000 may not be in a document","locations":[{"line":1,"column":14}]`,
		"{\nü\x01}":                    `U+0001 may not be in a document","locations":[{"line":2,"column":2}]`,
		"{product(id:\"a\x1bb\"){id}}": `U+001B`,
	} {
		got := s.ask("", text)
		if got.status != 422 || got.code() != "GRAPHQL_PARSE_FAILED" || !strings.Contains(got.text, want) {
			t.Errorf("%q: %d %s", text, got.status, got.text)
		}
	}
	for _, text := range []string{"{products{id}\x7f}", "{products\ufeff{id}}", "{products(search:\"a\nb\"){id}}", "{a(b:\"", "{`a`}", "{products{id}} /* x"} {
		if got := s.ask("", text); got.status != 422 || strings.Contains(got.text, `"line":0`) {
			t.Errorf("%q: %d %s", text, got.status, got.text)
		}
	}
}

func TestWithoutIntrospectionNoNameIsSuggested(t *testing.T) {
	t.Parallel()
	on, off := setup(t), setup(t, "Introspection=false")
	for _, query := range []string{`{products{nam}}`, `{products(frst:1){id}}`, `mutation{login(input:{emai:"a",email:"b",password:"c"}){token}}`, `{products}`} {
		if got := off.ask("", query); got.status != 422 || strings.Contains(got.text, "Did you mean") {
			t.Errorf("off: %d %s", got.status, got.text)
		}
	}
	if got := on.ask("", `{products{nam}}`); !strings.Contains(got.text, `Did you mean \"name\"?`) {
		t.Errorf("on: %s", got.text)
	}
}

func TestFirstIsAtLeastOne(t *testing.T) {
	t.Parallel()
	s := setup(t)
	answering(s)
	for _, query := range []string{`{products(first:0){id}}`, `{usersPage(first:0){items{id}}}`, `{orders(first:0){id @skip(if:false)}}`} {
		if got := s.ask(adminToken, query); got.status != 200 || got.code() != "BAD_INPUT" || got.Errors[0].Message != "first: 0 is not between 1 and 1000" {
			t.Errorf("%s: %d %s", query, got.status, got.text)
		}
	}
	if got := s.ask("", `query($n:Int){products(first:$n){id}}`, map[string]any{"n": 0}); got.code() != "BAD_INPUT" || got.Errors[0].Extensions["field"] != "first" {
		t.Errorf("%d %s", got.status, got.text)
	}
}

func TestAnEmptyIDIsRefused(t *testing.T) {
	t.Parallel()
	s := setup(t)
	answering(s)
	for _, query := range []string{`{user(id:""){id}}`, `{product(id:""){id}}`, `{order(id:""){id}}`, `{order(id:""){id @skip(if:false)}}`, `mutation{updateInventory(input:{id:"",type:1,number:1}){success}}`} {
		if got := s.ask(adminToken, query); got.status != 200 || got.code() != "BAD_INPUT" || got.Errors[0].Message != "id: is empty" || got.Errors[0].Extensions["field"] != "id" {
			t.Errorf("%s: %d %s", query, got.status, got.text)
		}
	}
	if n := s.users.GetUserCallCount() + s.products.GetProductCallCount() + s.orders.GetOrderCallCount() + s.products.UpdateInventoryCallCount(); n != 0 {
		t.Errorf("%d calls", n)
	}
}
