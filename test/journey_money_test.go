package test

import (
	"fmt"

	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func (j *journey) usage(t *testing.T) {
	uma, eve := j.signUp(t, j.boss, "uma@example.com"), j.signUp(t, j.boss, "eve2@example.com")
	k := uma.key(t)
	var ids []string
	for i := range 7 {
		path := "/v1/helloworld/call"
		if i%3 == 0 {
			path = "/v1/echo/free"
		}
		a := j.as(k.Key).post(t, path, struct{}{})
		ids = append(ids, a.header.Get("M3O-Request-Id"))
	}
	slices.Reverse(ids)
	got := uma.records(t, 3)
	var newest []string
	for _, r := range got {
		newest = append(newest, r.RequestID)
		price := map[string]int64{"helloworld": 10, "echo": 0}[r.Service]
		if r.KeyID != k.ID || r.Status != 200 || r.Price != price || r.DurationUS <= 0 || time.Since(r.Time) > time.Minute {
			t.Errorf("%+v", r)
		}
	}
	if diff := cmp.Diff(ids, newest); diff != "" {
		t.Errorf("records, newest first (-calls +records):\n%s", diff)
	}
	if diff := cmp.Diff(got, pages[record](t, j.boss, "/usage/ListRecords", "records", 1000, "customer_id", uma.id)); diff != "" {
		t.Errorf("an admin sees:\n%s", diff)
	}
	type day struct {
		Date     string
		Requests int64 `json:",string"`
	}
	type read struct {
		Usage map[string]struct {
			APIName string `json:"api_name"`
			Records []day
		}
		QuotaRemaining int64 `json:"quota_remaining,string"`
	}
	plain := do[read](t, uma.client, "/usage/Read", struct{}{})
	detail := do[read](t, j.boss, "/usage/Read", map[string]any{"customer_id": uma.id, "detail": true})
	want := map[string]int64{"helloworld": 4, "echo": 3, "helloworld$Helloworld.Call": 4, "echo$Echo.Free": 3}
	for name, n := range want {
		if u := detail.Usage[name]; len(u.Records) == 0 || u.Records[len(u.Records)-1].Requests != n {
			t.Errorf("%s: %+v, want %d requests today", name, u, n)
		}
	}
	if len(plain.Usage) != 2 || len(detail.Usage) != 4 || plain.QuotaRemaining != 10_000-3 {
		t.Errorf("plain %+v, detail %+v", plain, detail)
	}
	monthly := uma.post(t, "/usage/ReadMonthlyTotal", map[string]bool{"detail": true})
	if s := string(monthly.body); !strings.Contains(s, `"requests":"7"`) || !strings.Contains(s, `"echo$Echo.Free":"3"`) {
		t.Errorf("%d %s", monthly.status, s)
	}
	for _, path := range []string{"/usage/Read", "/usage/ReadMonthlyTotal", "/usage/ListRecords", "/balance/Current", "/balance/ListAdjustments", "/balance/ListEntries"} {
		a := eve.post(t, path, map[string]string{"customer_id": uma.id})
		b := eve.post(t, path, map[string]string{"customer_id": "cus_00000000000000000000000000"})
		if a.status != b.status || a.status != 403 && a.status != 404 {
			t.Errorf("%s of another: %d %s; of nobody: %d %s", path, a.status, a.body, b.status, b.body)
		}
		refused(t, j.post(t, path, struct{}{}), 401)
	}
}

// adjustment is a line of /balance/ListAdjustments.
type adjustment struct {
	ID, Reference string
	Delta         int64 `json:",string"`
	Created       int64 `json:",string"`
}

func adjustments(t *testing.T, c client, customerID string) []string {
	t.Helper()
	var all []string
	for _, a := range do[struct{ Adjustments []adjustment }](t, c, "/balance/ListAdjustments", map[string]string{"customer_id": customerID}).Adjustments {
		all = append(all, fmt.Sprintf("%s %d", a.Reference, a.Delta))
	}
	slices.Sort(all)
	return all
}

// moved is the body of an admin's posting.
func moved(to string, delta int64, reference, idempotencyKey string, visible bool) map[string]any {
	return map[string]any{"customer_id": to, "delta": delta, "reference": reference, "idempotency_key": idempotencyKey, "visible": visible}
}

func (j *journey) balances(t *testing.T) {
	bea, tom := j.signUp(t, j.boss, "bea@example.com"), j.signUp(t, j.boss, "tom@example.com")
	type raised struct {
		Balance int64 `json:"new_balance,string"`
	}
	in := moved(bea.id, 500, "A gift", "bea-1", true)
	for range 2 {
		if got := do[raised](t, j.boss, "/balance/Increment", in); got.Balance != 1_000_500 {
			t.Errorf("incremented to %d", got.Balance)
		}
	}
	other := j.boss.post(t, "/balance/Increment", moved(bea.id, 501, "A gift", "bea-1", true))
	if other.status != 409 && other.status != 422 {
		t.Errorf("the same key with another amount: %d %s", other.status, other.body)
	}
	do[raised](t, j.boss, "/balance/Increment", moved(bea.id, 7, "Behind the scenes", "bea-2", false))
	if got := do[raised](t, j.boss, "/balance/Decrement", moved(bea.id, 7, "Taken back", "bea-3", true)); got.Balance != 1_000_500 {
		t.Errorf("decremented to %d", got.Balance)
	}
	refused(t, j.boss.post(t, "/balance/Decrement", moved(bea.id, 1_000_501, "Too much", "bea-4", true)), 402)
	for name, bad := range map[string]map[string]any{
		"zero": moved(bea.id, 0, "r", "bea-5", true), "negative": moved(bea.id, -5, "r", "bea-6", true),
		"no reference": moved(bea.id, 5, "", "bea-7", true), "no key": moved(bea.id, 5, "r", "", true), "no customer": moved("", 5, "r", "bea-8", true),
	} {
		for _, path := range []string{"/balance/Increment", "/balance/Decrement"} {
			if a := j.boss.post(t, path, bad); a.status != 400 {
				t.Errorf("%s %s: %d %s", path, name, a.status, a.body)
			}
		}
	}
	refused(t, j.boss.post(t, "/balance/Increment", moved("cus_nobody", 5, "r", "bea-9", true)), 404)
	refused(t, j.boss.post(t, "/balance/Increment", moved(bea.id, 1<<63-1, "Overflow", "bea-10", true)), 400)
	transfer := func(amount int64, k string) answer {
		return j.boss.post(t, "/balance/Transfer", map[string]any{"from_id": bea.id, "to_id": tom.id, "amount": amount, "reference": "A loan", "idempotency_key": k, "visible": true})
	}
	for range 2 {
		if a := transfer(300, "loan"); a.status != 200 {
			t.Errorf("transfer: %d %s", a.status, a.body)
		}
	}
	refused(t, transfer(2_000_000, "loan-2"), 402)
	refused(t, transfer(0, "loan-3"), 400)
	refused(t, transfer(-300, "loan-4"), 400)
	if a, b := bea.balance(t).Current, tom.balance(t).Current; a != 1_000_200 || b != 1_000_300 {
		t.Errorf("after the transfer: %d and %d", a, b)
	}
	visible := []string{"A gift 500", "A loan -300", "Sign-up credit 1000000", "Taken back -7"}
	if diff := cmp.Diff(visible, adjustments(t, bea.client, "")); diff != "" {
		t.Errorf("own adjustments (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(append([]string{"A gift 500", "A loan -300", "Behind the scenes 7"}, visible[2:]...), adjustments(t, j.boss, bea.id)); diff != "" {
		t.Errorf("adjustments as an admin sees them (-want +got):\n%s", diff)
	}
	for _, c := range []customer{bea, tom} {
		c.addsUp(t, 3)
	}
}

// addsUp checks that the ledger entries are the balance, over pages of a length that may cut transfers apart.
func (c customer) addsUp(t *testing.T, page int) {
	t.Helper()
	var sum int64
	var b balance
	if !soon(t, func() bool {
		sum = 0
		for _, e := range c.entries(t, page) {
			sum += e.Amount
			if e.ID == "" || e.Kind == "" || e.Reference == "" || e.Time.IsZero() {
				t.Errorf("an entry that does not say what caused it: %+v", e)
			}
		}
		b = c.balance(t)
		return sum == b.Current
	}) {
		t.Errorf("the entries of %s add up to %d, the balance is %d", c.email, sum, b.Current)
	}
}

func (j *journey) idempotency(t *testing.T) {
	ida := j.signUp(t, j.boss, "ida@example.com")
	generate := func(c client, description, header string) answer {
		return c.post(t, "/v1/api/keys/generate", map[string]any{"scopes": []string{"*"}, "description": description}, "Idempotency-Key", header)
	}
	first, bare, quoted := generate(ida.client, "one", "abc"), generate(ida.client, "one", "abc"), generate(ida.client, "one", `"abc"`)
	if first.status != 200 || first.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("the first: %d %v", first.status, first.header)
	}
	for name, a := range map[string]answer{"bare": bare, "quoted": quoted} {
		if a.status != 200 || string(a.body) != string(first.body) || a.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("repeated %s: %d replayed %q, the same answer: %v", name, a.status, a.header.Get("Idempotency-Replayed"), string(a.body) == string(first.body))
		}
	}
	refused(t, generate(ida.client, "two", "abc"), 422)
	if n := len(ida.keys(t)); n != 1 {
		t.Errorf("%d keys", n)
	}
	other := j.signUp(t, j.boss, "ida2@example.com")
	if a := generate(other.client, "one", "abc"); a.status != 200 || string(a.body) == string(first.body) {
		t.Errorf("another account's key of the same name: %d", a.status)
	}
	refused(t, generate(ida.client, "", "failed"), 400)
	if a := generate(ida.client, "now right", "failed"); a.status != 200 {
		t.Errorf("after a failure the key is not free: %d %s", a.status, a.body)
	}
	refused(t, generate(ida.client, "d", strings.Repeat("x", 256)), 400)
}

func (j *journey) tiers(t *testing.T) {
	tia, eve := j.signUp(t, j.boss, "tia@example.com"), j.signUp(t, j.boss, "eve3@example.com")
	tier := func() string {
		a := do[struct {
			Account struct {
				ID            string
				Admins        []string
				Subscriptions []struct{ ID string }
			} `json:"billing_account"`
		}](t, tia.client, "/billing/ReadAccount", struct{}{}).Account
		if a.ID == "" || !slices.Equal(a.Admins, []string{tia.id}) || len(a.Subscriptions) != 1 {
			t.Fatalf("%+v", a)
		}
		return a.Subscriptions[0].ID
	}
	k := tia.key(t)
	if got := tier(); got != "free" {
		t.Errorf("a new customer has the tier %s", got)
	}
	if p := j.answers(t, k.Key, 200).header.Get("RateLimit-Policy"); !strings.Contains(p, "q=1000;") {
		t.Errorf("RateLimit-Policy %s", p)
	}
	done(t, j.boss, "/billing/SubscribeTier", map[string]string{"id": "business", "customer_id": tia.id})
	if got := tier(); got != "business" {
		t.Errorf("the tier is %s", got)
	}
	if p := j.answers(t, k.Key, 200).header.Get("RateLimit-Policy"); !strings.Contains(p, "q=10000;") {
		t.Errorf("after the change of tier RateLimit-Policy is %s", p)
	}
	refused(t, j.boss.post(t, "/billing/SubscribeTier", map[string]string{"id": "gold", "customer_id": tia.id}), 400)
	if a := eve.post(t, "/billing/SubscribeTier", map[string]string{"id": "pro", "customer_id": tia.id}); a.status != 403 && a.status != 404 {
		t.Errorf("another's tier: %d %s", a.status, a.body)
	}
	if a := eve.post(t, "/billing/SubscribeTier", map[string]string{"id": "pro"}); a.status < 400 || a.status == 500 {
		t.Errorf("a paid tier without payment: %d %s", a.status, a.body)
	}
	done(t, tia.client, "/billing/SubscribeTier", map[string]string{"id": "free"})
	if got := tier(); got != "free" {
		t.Errorf("the tier is %s", got)
	}
}
