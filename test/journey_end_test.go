package test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func (j *journey) pages(t *testing.T) {
	for path, want := range map[string]string{
		"/": "helloworld", "/healthz": "", "/readyz": "", "/metrics": "balance_ledger_sum{", "/openapi.json": `"3.1.0"`, "/docs": "<html",
	} {
		if a := j.request(t, "GET", path, ""); a.status != 200 || !strings.Contains(string(a.body), want) {
			t.Errorf("GET %s: %d, wants %q", path, a.status, want)
		}
	}
	dot := j.signUp(t, j.boss, "dot@example.com")
	for _, path := range []string{"/balance/list-adjustments", "/balance/listadjustments", "/balance/ListAdjustments", "/BALANCE/LIST-ADJUSTMENTS", "/Balance/List-Adjustments"} {
		for _, method := range []string{"GET", "POST"} {
			if a := dot.request(t, method, path, ""); a.status != 200 || !strings.Contains(string(a.body), "Sign-up credit") {
				t.Errorf("%s %s: %d %s", method, path, a.status, a.body)
			}
		}
	}
	if a := j.boss.request(t, "GET", "/customers/List?limit=1", ""); a.status != 200 || len(pageOf(t, a)) != 1 {
		t.Errorf("GET with a query: %d %s", a.status, a.body)
	}
}

func pageOf(t *testing.T, a answer) []profile {
	t.Helper()
	return decode[struct{ Customers []profile }](t, a).Customers
}

// statement follows one customer to the end of its money, and reads the events that told of it.
func (j *journey) statement(t *testing.T) {
	liv := j.signUp(t, j.boss, "liv@example.com")
	k := liv.key(t)
	j.answers(t, k.Key, 200) // a lease is out now
	do[any](t, j.boss, "/balance/Decrement", moved(liv.id, 1_000_000-25, "Almost all", "liv-1", true))
	j.answers(t, k.Key, 200)
	refusedAs(t, j.answers(t, k.Key, 402), 402, "v1.blocked", "Request blocked. Insufficient credit")
	if a := j.as(k.Key).post(t, "/v1/echo/free", struct{}{}); a.status != 200 {
		t.Errorf("a free endpoint without credit: %d %s", a.status, a.body)
	}
	if b := liv.balance(t); b.Current != 5 {
		t.Errorf("%+v", b)
	}
	do[any](t, j.boss, "/balance/Increment", moved(liv.id, 5, "Top-up", "liv-2", true))
	j.answers(t, k.Key, 200)
	if b := liv.balance(t); b.Current != 0 {
		t.Errorf("%+v", b)
	}
	liv.addsUp(t, 3)
	eventually(t, 10*time.Second, "the leases to be given back", func() bool { return liv.balance(t).Leased == 0 })
	liv.addsUp(t, 3)
	done(t, liv.client, "/v1/api/keys/revoke", map[string]string{"id": k.ID})
	done(t, liv.client, "/customers/Logout", struct{}{})
	liv.session = j.login(t, liv.email, liv.password)
	liv.client = j.as(liv.session.Access)
	j.told(t, liv, []string{"1 Created", "4 Verified", "7 Signup", "8 GenerateKey", "9 DeleteKey", "14 Login", "15 Logout", "18 BalanceIncrement", "19 BalanceZero", "20 BalanceDecrement"}, "BalanceZero")
}

// event is a line of /events/List.
type event struct {
	ID, Topic string
	Type      int
	TypeName  string `json:"type_name"`
	Published bool
	Data      map[string]any
}

// told checks that the topic customers has told all of want about a customer, and the type once exactly once.
func (j *journey) told(t *testing.T, c customer, want []string, once string) {
	t.Helper()
	count := map[string]int{}
	for _, e := range pages[event](t, j.boss, "/events/List", "events", 100, "topic", "customers") {
		who, _ := e.Data["customer"].(map[string]any)
		if who["id"] != c.id || e.Topic != "customers" {
			continue
		}
		count[fmt.Sprintf("%d %s", e.Type, e.TypeName)]++
		if made, ok := e.Data["generate_key"].(map[string]any); e.Type == 8 && (!ok || made["id"] == "" || made["scopes"] == nil) {
			t.Errorf("GenerateKey tells %v", e.Data)
		}
	}
	for _, w := range want {
		if n := count[w]; n == 0 || strings.HasSuffix(w, " "+once) && n != 1 {
			t.Errorf("%s was told %d times; all: %v", w, n, count)
		}
	}
}

func (j *journey) deletes(t *testing.T) {
	del := j.signUp(t, j.boss, "del@example.com")
	k := del.key(t)
	j.answers(t, k.Key, 200)
	done(t, del.client, "/customers/Delete", struct{}{})
	j.inspects(t, del.session.Access, 401)
	if a := j.as(k.Key).post(t, "/v1/helloworld/call", struct{}{}); a.status != 401 && a.status != 403 {
		t.Errorf("a key of a deleted customer: %d %s", a.status, a.body)
	}
	refused(t, j.post(t, "/customers/Login", map[string]string{"email": del.email, "password": del.password}), 401)
	eventually(t, 10*time.Second, "the key of a deleted customer to be gone", func() bool {
		return j.as(k.Key).post(t, "/v1/helloworld/call", struct{}{}).status == http.StatusUnauthorized
	})
	eventually(t, 10*time.Second, "the call of a deleted customer to be told", func() bool {
		return slices.ContainsFunc(pages[event](t, j.boss, "/events/List", "events", 1000, "topic", "requests"), func(e event) bool {
			return e.Data["customer_id"] == del.id && e.Published
		})
	})
	gone := map[string]string{"customer_id": del.id}
	var a answer
	if !soon(t, func() bool {
		a = j.boss.post(t, "/balance/Current", gone)
		return a.status == 404 || a.status == 200 && decode[balance](t, a) == balance{}
	}) {
		t.Errorf("the balance of a deleted customer: %d %s", a.status, a.body)
	}
	if !soon(t, func() bool {
		a = j.boss.post(t, "/usage/ListRecords", gone)
		return a.status == 404 || !strings.Contains(string(a.body), "req_")
	}) {
		t.Errorf("the usage of a deleted customer: %d %s", a.status, a.body)
	}
	j.told(t, del, []string{"3 Deleted"}, "Deleted")
	again := j.signUp(t, j.boss, del.email)
	if again.id == del.id {
		t.Error("a new customer has the id of a deleted one")
	}
	done(t, j.boss, "/customers/Delete", map[string]any{"email": again.email, "force": true})
	if a := j.boss.post(t, "/customers/Read", map[string]string{"id": again.id}); a.status != 404 && (a.status != 200 || strings.Contains(string(a.body), again.email)) {
		t.Errorf("what remains of a customer deleted by force: %d %s", a.status, a.body)
	}
	j.inspects(t, again.session.Access, 401)
	if a := j.request(t, "GET", "/metrics", ""); !ledgerSumsToZero(a.body) {
		t.Error("the ledger does not sum to 0")
	}
	if dead := j.boss.post(t, "/events/DeadLetters", struct{}{}); strings.Contains(string(dead.body), "evt_") {
		t.Errorf("dead letters: %s", dead.body)
	}
	refused(t, j.boss.post(t, "/events/Replay", map[string]string{"id": "evt_nothing"}), 404)
}
