package graph_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"m3o/internal/auth"
	"m3o/internal/shop/products/productsapi"
)

func TestQueriesComeByPostAndByGet(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.products.GetProductStub = func(_ context.Context, id string) (productsapi.Product, error) { return product(id), nil }
	const want = `{"data":{"product":{"id":"prd_1","price":25}}}`
	query := `query One($id: ID!) { product(id: $id) { id price } } query Other { products { id } }`
	body, err := json.Marshal(map[string]any{"query": query, "operationName": "One", "variables": map[string]any{"id": "prd_1"}})
	if err != nil {
		t.Fatal(err)
	}
	inURL := "?" + url.Values{"query": {query}, "operationName": {"One"}, "variables": {`{"id":"prd_1"}`}}.Encode()
	for name, got := range map[string]reply{
		"Post":             s.do(http.MethodPost, "/graphql", string(body)),
		"Get":              s.do(http.MethodGet, "/graphql"+inURL, ""),
		"TheOriginalsName": s.do(http.MethodPost, "/query", string(body), "Content-Type: application/json; charset=utf-8", "Accept: application/graphql-response+json"),
	} {
		if got.status != http.StatusOK || got.text != want || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s %s", name, got.status, got.header, got.text)
		}
	}
	if got := s.do(http.MethodHead, "/graphql"+inURL, ""); got.status != http.StatusOK || got.text != "" {
		t.Errorf("HEAD: %d %q", got.status, got.text)
	}
}

func TestWhatIsNoOperationIsRefused(t *testing.T) {
	t.Parallel()
	s := setup(t, "BodyLimit=2000")
	for _, test := range []struct {
		name, method, path, body, header string
		status                           int
		code, message                    string
	}{
		{"NoBody", "POST", "/graphql", "", "", 400, "BAD_INPUT", "the body is no JSON object"},
		{"HalfABody", "POST", "/graphql", "{", "", 400, "BAD_INPUT", "unexpected end of JSON input"},
		{"NoQuery", "POST", "/graphql", "{}", "", 400, "BAD_INPUT", "query is required"},
		{"AnArray", "POST", "/graphql", ` [{"query":"{products{id}}"}]`, "", 400, "BAD_INPUT", "several operations in one request are not taken"},
		{"AQueryThatIsANumber", "POST", "/graphql", `{"query":1}`, "", 400, "BAD_INPUT", "query must not be a JSON number"},
		{"AText", "POST", "/graphql", `"{products{id}}"`, "", 400, "BAD_INPUT", "it must not be a JSON string"},
		{"VariablesInAnArray", "POST", "/graphql", `{"query":"{products{id}}","variables":[1]}`, "", 400, "BAD_INPUT", "variables must not be a JSON array"},
		{"AForm", "POST", "/graphql", "query={products{id}}", "Content-Type: application/x-www-form-urlencoded", 415, "BAD_INPUT", "Content-Type: application/json"},
		{"TooLong", "POST", "/graphql", `{"query":"{products{id}}` + strings.Repeat(" ", 2000) + `"}`, "", 413, "BAD_INPUT", "larger than 2000 bytes"},
		{"AnotherMethod", "PUT", "/graphql", "{}", "", 405, "BAD_INPUT", "PUT is not allowed here"},
		{"AMutationByGet", "GET", "/graphql?query=" + url.QueryEscape(`mutation{logout{success}}`), "", "", 405, "BAD_INPUT", "send a mutation by POST"},
		{"GetWithoutAQuery", "GET", "/graphql", "", "", 400, "BAD_INPUT", "query is required"},
		{"GetWithBadVariables", "GET", "/graphql?query=%7Bproducts%7Bid%7D%7D&variables=%5B%5D", "", "", 400, "BAD_INPUT", "variables is no JSON object"},
		{"GetWithBadEscapes", "GET", "/graphql?query=%7Bproducts;", "", "", 400, "BAD_INPUT", "the query of the URL cannot be read"},
		{"NotGraphQL", "POST", "/graphql", `{"query":"{products{id}"}`, "", 422, "GRAPHQL_PARSE_FAILED", "syntax error"},
		{"NoOperation", "POST", "/graphql", `{"query":"# nothing"}`, "", 422, "GRAPHQL_VALIDATION_FAILED", "at least one operation"},
		{"AnUnknownField", "POST", "/graphql", `{"query":"{nope}"}`, "", 422, "GRAPHQL_VALIDATION_FAILED", `Cannot query field "nope" on type "Query".`},
		{"AMissingField", "POST", "/graphql", `{"query":"mutation{createProduct(input:{name:\"a\",description:\"b\",price:1}){id}}"}`, "", 422, "BAD_INPUT", "stock"},
		{"AnIntTooLarge", "POST", "/graphql", `{"query":"mutation{createProduct(input:{name:\"a\",description:\"b\",price:1,stock:3000000000}){id}}"}`, "", 422, "BAD_INPUT", "3000000000"},
		{"AnUnknownOperation", "POST", "/graphql", `{"query":"query A{products{id}}","operationName":"B"}`, "", 422, "GRAPHQL_VALIDATION_FAILED", `no operation "B"`},
		{"WhichOperation", "POST", "/graphql", `{"query":"query A{products{id}} query B{products{id}}"}`, "", 422, "GRAPHQL_VALIDATION_FAILED", "name one"},
		{"AMissingVariable", "POST", "/graphql", `{"query":"query($id:ID!){product(id:$id){id}}"}`, "", 422, "BAD_INPUT", "id"},
		{"AVariableOfAnotherType", "POST", "/graphql", `{"query":"query($n:Int){products(first:$n){id}}","variables":{"n":"x"}}`, "", 422, "BAD_INPUT", "$n: is no Int"},
		{"AVariableTooLarge", "POST", "/graphql", `{"query":"query($n:Int){products(first:$n){id}}","variables":{"n":3000000000}}`, "", 422, "BAD_INPUT", "$n: 3000000000 is no Int"},
		{"ASubscription", "POST", "/graphql", `{"query":"subscription{orderPlaced{id}}"}`, "", 400, "BAD_INPUT", "graphql-transport-ws"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var header []string
			if test.header != "" {
				header = append(header, test.header)
			}
			got := s.do(test.method, test.path, test.body, header...)
			if got.status != test.status || got.code() != test.code || !strings.Contains(got.Errors[0].Message, test.message) {
				t.Errorf("%d %s", got.status, got.text)
			}
			if !strings.HasSuffix(got.text, `,"data":null}`) {
				t.Errorf("data is not null: %s", got.text)
			}
		})
	}
	if got := s.do(http.MethodPut, "/graphql", ""); got.header.Get("Allow") != "GET, HEAD, POST, OPTIONS" {
		t.Errorf("PUT: %v", got.header)
	}
	if got := s.do(http.MethodGet, "/graphql?query=mutation%7Blogout%7Bsuccess%7D%7D", ""); got.header.Get("Allow") != "POST" {
		t.Errorf("GET of a mutation: %v", got.header)
	}
	if s.products.Invocations()["GetProducts"] != nil || s.users.LogoutCallCount() != 0 {
		t.Error("something was executed")
	}
}

func TestTenMegabytesAreRefusedBeforeTheyAreRead(t *testing.T) {
	t.Parallel()
	s := setup(t)
	body := `{"query":"{products{id` + strings.Repeat(" ", 10_000_000) + `}}"}`
	if got := s.do(http.MethodPost, "/graphql", body); got.status != http.StatusRequestEntityTooLarge || got.code() != "BAD_INPUT" {
		t.Errorf("%d %s", got.status, got.text)
	}
}

func TestWhoTheTokenBelongsTo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, header, code string
		want               auth.Account
	}{
		{"Nobody", "", "", auth.Account{}},
		{"TheTokenAlone", userToken, "", auth.Account{ID: "usr_1", Type: auth.TypeShopUser, Session: "jti_1"}},
		{"AsBearer", "Bearer " + adminToken, "", auth.Account{ID: "usr_9", Type: auth.TypeShopAdmin, Session: "jti_9"}},
		{"InSmallLetters", "bearer  " + adminToken, "", auth.Account{ID: "usr_9", Type: auth.TypeShopAdmin, Session: "jti_9"}},
		{"ThePlatforms", "Bearer " + platformToken, "", auth.Account{ID: "cus_1", Type: auth.TypeAdmin, Session: "ses_1"}},
		{"ThePlatformsAlone", platformToken, "", auth.Account{ID: "cus_1", Type: auth.TypeAdmin, Session: "ses_1"}},
		{"ABadToken", "a.b.c", "UNAUTHENTICATED", auth.Account{}},
		{"ABadTokenOfThePlatform", "Bearer nothing", "UNAUTHENTICATED", auth.Account{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			got := s.ask(test.header, `{products{id}}`)
			if got.status != http.StatusOK || got.code() != test.code {
				t.Fatalf("%d %s", got.status, got.text)
			}
			if test.code != "" {
				if s.products.GetProductsCallCount() != 0 {
					t.Error("it was executed")
				}
				return
			}
			ctx, _, _, _ := s.products.GetProductsArgsForCall(0)
			if got := who(ctx); got != test.want {
				t.Errorf("the caller is %+v", got)
			}
		})
	}
}

func TestWhoHasAnOldTokenMayLogIn(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.users.LoginReturns("new.token.x", nil)
	if got := s.ask("old.token.x", `mutation{login(input:{email:"a@b.example",password:"secret12"}){token}}`); got.text != `{"data":{"login":{"token":"new.token.x"}}}` {
		t.Errorf("%s", got.text)
	}
	if got := s.ask("old.token.x", `mutation{login(input:{email:"a@b.example",password:"secret12"}){token} logout{success}}`); got.code() != "UNAUTHENTICATED" {
		t.Errorf("more than a login: %s", got.text)
	}
}

func TestLogoutRevokesTheTokenThatCame(t *testing.T) {
	t.Parallel()
	s := setup(t)
	if got := s.ask("Bearer "+userToken, `mutation{logout{success}}`); got.text != `{"data":{"logout":{"success":true}}}` {
		t.Errorf("%s", got.text)
	}
	if _, token := s.users.LogoutArgsForCall(0); token != userToken {
		t.Errorf("revoked is %q", token)
	}
	if got := s.ask("", `mutation{logout{success}}`); got.code() != "UNAUTHENTICATED" || s.users.LogoutCallCount() != 1 {
		t.Errorf("nobody's logout: %s", got.text)
	}
}

func TestAnOperationHasItsTime(t *testing.T) {
	t.Parallel()
	s := setup(t, "OperationLimit=20ms")
	s.products.GetProductsStub = func(ctx context.Context, _ string, _ int, _ string) ([]productsapi.Product, string, error) {
		select {
		case <-ctx.Done():
			return nil, "", ctx.Err()
		case <-time.After(time.Minute):
			return nil, "", nil
		}
	}
	got := s.ask("", `{products{id}}`)
	if got.status != http.StatusOK || got.code() != "UNAVAILABLE" || !strings.Contains(got.text, "longer than 20ms") {
		t.Errorf("%d %s", got.status, got.text)
	}
}
