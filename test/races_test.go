package test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

// together runs do n times at once and counts the answers by status.
func together(n int, do func(i int) answer) (map[int]int, []answer) {
	answers, begin := make([]answer, n), make(chan struct{})
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			<-begin
			answers[i] = do(i)
		})
	}
	close(begin)
	wait.Wait()
	count := map[int]int{}
	for _, a := range answers {
		count[a.status]++
	}
	return count, answers
}

// TestRaces lets callers meet where only one may win.
func TestRaces(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store) {
		sys := start(t, s)
		boss := sys.admin(t)
		ann, bob := sys.signUp(t, boss, "ann@example.com"), sys.signUp(t, boss, "bob@example.com")
		t.Run("OneCodeVerifiesOnce", func(t *testing.T) {
			done(t, sys.client, "/signup/User", map[string]string{"email": "cat@example.com"})
			in := map[string]string{"email": "cat@example.com", "token": code(t, boss, "cat@example.com"), "secret": "a-long-secret-4"}
			count, answers := together(6, func(int) answer { return sys.post(t, "/signup/Verify", in) })
			if count[200] != 1 || count[403] != 5 {
				t.Fatalf("answers %v", count)
			}
			won := answers[slices.IndexFunc(answers, func(a answer) bool { return a.status == 200 })]
			cat := customer{client: sys.as(decode[struct{ AuthToken token }](t, won).AuthToken.Access)}
			if b := cat.balance(t); b.Current != 1_000_000 {
				t.Errorf("credit %d", b.Current)
			}
		})
		t.Run("OneIdempotencyKeyActsOnce", func(t *testing.T) {
			in := map[string]any{"scopes": []string{"*"}, "description": "d"}
			count, answers := together(20, func(int) answer { return ann.post(t, "/v1/api/keys/generate", in, "Idempotency-Key", "one") })
			if count[200] == 0 || count[200]+count[409] != 20 || len(ann.keys(t)) != 1 {
				t.Errorf("answers %v, %d keys", count, len(ann.keys(t)))
			}
			made := map[string]bool{}
			for _, a := range answers {
				if a.status == 200 {
					made[string(a.body)] = true
				}
			}
			if len(made) != 1 {
				t.Errorf("%d different answers", len(made))
			}
		})
		t.Run("OneTransferIsAppliedOnce", func(t *testing.T) {
			count, _ := together(20, func(int) answer { return boss.post(t, "/balance/Increment", moved(ann.id, 100, "Once", "once", true)) })
			if b := ann.balance(t); count[200] != 20 || b.Current != 1_000_100 {
				t.Errorf("answers %v, %+v", count, b)
			}
		})
		t.Run("NothingGoesBelowZero", func(t *testing.T) {
			count, _ := together(20, func(i int) answer {
				return boss.post(t, "/balance/Decrement", moved(ann.id, 100_000, "Less", fmt.Sprint("less-", i), true))
			})
			if b := ann.balance(t); count[200] != 10 || count[402] != 10 || b.Current != 100 {
				t.Errorf("answers %v, %+v", count, b)
			}
		})
		t.Run("TransfersBothWaysKeepTheSum", func(t *testing.T) {
			do[any](t, boss, "/balance/Increment", moved(ann.id, 999_900, "Again", "again", true))
			count, _ := together(20, func(i int) answer {
				from, to := ann.id, bob.id
				if i%2 == 1 {
					from, to = to, from
				}
				return boss.post(t, "/balance/Transfer", map[string]any{"from_id": from, "to_id": to, "amount": 1_000 * (i + 1), "reference": "To and fro", "idempotency_key": fmt.Sprint("fro-", i), "visible": true})
			})
			if a, b := ann.balance(t).Current, bob.balance(t).Current; count[200] != 20 || a != 1_010_000 || b != 990_000 {
				t.Errorf("answers %v, %d and %d", count, a, b)
			}
		})
		t.Run("OneSignUpMakesOneCustomer", func(t *testing.T) {
			count, _ := together(4, func(int) answer { return sys.post(t, "/signup/User", map[string]string{"email": "dan@example.com"}) })
			n := 0
			for _, c := range pages[profile](t, boss, "/customers/List", "customers", 1000) {
				if c.Email == "dan@example.com" {
					n++
				}
			}
			if count[200] != 4 || n != 1 {
				t.Errorf("answers %v, %d customers", count, n)
			}
		})
		ann.addsUp(t, 7)
		bob.addsUp(t, 7)
		sys.balanced(t)
	})
}
