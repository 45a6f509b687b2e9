package test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// journey is a system with its admin, and the upstream of the API that the journey publishes.
type journey struct {
	*system
	boss     client
	upstream *upstream
}

// TestJourney follows the contract from sign-up to statement; the steps share one system.
func TestJourney(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store) {
		sys := start(t, s)
		j := &journey{sys, sys.admin(t), newUpstream(t)}
		for _, step := range []struct {
			name string
			run  func(*journey, *testing.T)
		}{
			{"SignUp", (*journey).signsUp}, {"Codes", (*journey).codes}, {"Sessions", (*journey).sessions},
			{"Accounts", (*journey).accounts}, {"Recovery", (*journey).recovery},
			{"Keys", (*journey).keys}, {"Blocks", (*journey).blocks}, {"Bans", (*journey).bans},
			{"Calls", (*journey).calls}, {"Catalogue", (*journey).catalogue}, {"Forwarding", (*journey).forwarding},
			{"PublishRefuses", (*journey).publishRefuses}, {"Explore", (*journey).explore},
			{"Usage", (*journey).usage}, {"Balance", (*journey).balances}, {"Idempotency", (*journey).idempotency},
			{"Tiers", (*journey).tiers}, {"Pages", (*journey).pages},
			{"Statement", (*journey).statement}, {"Delete", (*journey).deletes},
		} {
			t.Run(step.name, func(t *testing.T) { step.run(j, t) })
		}
	})
}

func (j *journey) signsUp(t *testing.T) {
	body := map[string]string{"email": "jane@example.com"}
	done(t, j.client, "/signup/User", body)
	first := code(t, j.boss, "jane@example.com")
	done(t, j.client, "/signup/User", body)
	second := code(t, j.boss, "jane@example.com")
	if first == second {
		t.Error("a repeated sign-up has sent the same code")
	}
	verify := func(code, secret string) answer {
		return j.post(t, "/signup/Verify", map[string]string{"email": "jane@example.com", "token": code, "secret": secret})
	}
	refused(t, verify("AAAAAAAA", "a-long-secret-1"), 403)
	refused(t, verify(second, "12"), 400)
	a := verify(second, "a-long-secret-1")
	if a.status != 200 {
		t.Fatalf("a weak secret has used up the code: %d %s", a.status, a.body)
	}
	out := decode[struct {
		AuthToken  token
		CustomerID string
		Namespace  string
	}](t, a)
	now := time.Now().Unix()
	if tok := out.AuthToken; out.Namespace != "micro" || !strings.HasPrefix(out.CustomerID, "cus_") || tok.Access == "" || tok.Refresh == "" ||
		tok.Created < now-60 || tok.Created > now+60 || tok.Expiry <= tok.Created {
		t.Errorf("%s", a.body)
	}
	refused(t, verify(second, "a-long-secret-1"), 403)
	refusedAs(t, j.post(t, "/signup/User", body), 400, "customers.create.exists", "")
	jane := customer{client: j.as(out.AuthToken.Access)}
	if !soon(t, func() bool { return jane.balance(t).Current == 1_000_000 }) {
		t.Errorf("the sign-up credit is %d", jane.balance(t).Current)
	}
	for _, code := range []string{first, second} {
		if strings.Contains(j.logs.String(), code) {
			t.Error("a code is in the log")
		}
	}
}

func (j *journey) codes(t *testing.T) {
	const email = "tries@example.com"
	done(t, j.client, "/signup/User", map[string]string{"email": email})
	right := code(t, j.boss, email)
	for range 5 {
		refused(t, j.post(t, "/signup/Verify", map[string]string{"email": email, "token": "wrongOne", "secret": "a-long-secret-1"}), 403)
	}
	refused(t, j.post(t, "/signup/Verify", map[string]string{"email": email, "token": right, "secret": "a-long-secret-1"}), 403)
	refused(t, j.post(t, "/signup/Verify", map[string]string{"email": "nobody@example.com", "token": "wrongOne", "secret": "a-long-secret-1"}), 403)
	for range 4 {
		done(t, j.client, "/signup/User", map[string]string{"email": email})
	}
	a := j.post(t, "/signup/User", map[string]string{"email": email})
	refused(t, a, 429)
	if a.header.Get("Retry-After") == "" {
		t.Error("the sixth sign-up of an address within an hour has no Retry-After")
	}
	for _, bad := range []string{"", "no-at-sign", "two@@example.com", "a b@example.com", "x@example.com\nBcc: y@example.com"} {
		refused(t, j.post(t, "/signup/User", map[string]string{"email": bad}), 400)
	}
}

func (j *journey) sessions(t *testing.T) {
	sam := j.signUp(t, j.boss, "sam@example.com")
	wrong := j.post(t, "/customers/Login", map[string]string{"email": sam.email, "password": "not-the-password"})
	unknown := j.post(t, "/customers/Login", map[string]string{"email": "who@example.com", "password": "not-the-password"})
	if a, b := refused(t, wrong, 401), refused(t, unknown, 401); a.Detail != b.Detail || a.ID != b.ID {
		t.Errorf("a wrong password and an unknown account differ: %s %s", wrong.body, unknown.body)
	}
	refresh := func(with string) answer {
		return j.post(t, "/customers/Login", map[string]string{"refresh_token": with})
	}
	first := j.login(t, sam.email, sam.password)
	if first.Access == sam.session.Access || first.Expiry < time.Now().Unix() {
		t.Errorf("the login is no session of its own: expiry %d", first.Expiry)
	}
	a := refresh(first.Refresh)
	second := decode[struct{ Token token }](t, a).Token
	if a.status != 200 || second.Refresh == first.Refresh || second.Access == first.Access {
		t.Fatalf("refresh tokens do not rotate: %d", a.status)
	}
	j.inspects(t, second.Access, 200)
	refused(t, refresh(first.Refresh), 401)
	refused(t, refresh(second.Refresh), 401)
	j.inspects(t, second.Access, 401)
	j.inspects(t, sam.session.Access, 200)
	done(t, sam.client, "/customers/Logout", struct{}{})
	j.inspects(t, sam.session.Access, 401)
	refused(t, refresh(sam.session.Refresh), 401)
	refused(t, refresh("m3o_rt_nonsense"), 401)
}

// inspects asks who a token is and wants a status.
func (j *journey) inspects(t *testing.T, token string, status int) {
	t.Helper()
	a := j.as(token).post(t, "/customers/Inspect", struct{}{})
	if status != http.StatusOK {
		refused(t, a, status)
	} else if a.status != status {
		t.Errorf("inspect: %d %s", a.status, a.body)
	}
}

func (j *journey) accounts(t *testing.T) {
	ann, bob := j.signUp(t, j.boss, "ann@example.com"), j.signUp(t, j.boss, "bob@example.com")
	account := do[struct {
		Account struct {
			ID, Email, Name, Type string
			Scopes                []string
		}
	}](t, ann.client, "/customers/Inspect", struct{}{}).Account
	if account.ID != ann.id || account.Email != ann.email || account.Type != "customer" || len(account.Scopes) == 0 {
		t.Errorf("inspect: %+v", account)
	}
	done(t, ann.client, "/customers/UpdateName", map[string]string{"name": "Ann 'O; DROP TABLE customers; --"})
	for _, by := range []map[string]string{{}, {"id": ann.id}, {"email": ann.email}} {
		for who, c := range map[string]client{"own": ann.client, "admin": j.boss} {
			if who == "admin" && len(by) == 0 {
				continue
			}
			if got := j.read(t, c, by); got.ID != ann.id || got.Name != "Ann 'O; DROP TABLE customers; --" || got.Status != "verified" || got.Created == 0 {
				t.Errorf("%s read by %v: %+v", who, by, got)
			}
		}
	}
	theirs, nobodys := ann.post(t, "/customers/Read", map[string]string{"id": bob.id}), ann.post(t, "/customers/Read", map[string]string{"id": "cus_00000000000000000000000000"})
	if theirs.status != nobodys.status || theirs.status != 403 && theirs.status != 404 {
		t.Errorf("another's id %d %s, nobody's %d %s", theirs.status, theirs.body, nobodys.status, nobodys.body)
	}
	refused(t, ann.post(t, "/customers/UpdateName", map[string]string{"id": bob.id, "name": "mine"}), 403)
	refused(t, ann.post(t, "/customers/Delete", map[string]string{"id": bob.id}), 403)
	for _, path := range []string{"/customers/List", "/customers/Update", "/customers/Ban", "/customers/Unban", "/emails/List", "/events/List",
		"/events/DeadLetters", "/events/Replay", "/balance/Increment", "/balance/Decrement", "/balance/Transfer", "/v1/BlockKey", "/v1/UnblockKey",
		"/publicapi/Publish", "/publicapi/Update", "/publicapi/Remove"} {
		refused(t, ann.post(t, path, map[string]string{"id": bob.id, "customer_id": bob.id, "user_id": bob.id, "name": "helloworld"}), 403)
		refused(t, j.post(t, path, struct{}{}), 401)
	}
	all := pages[profile](t, j.boss, "/customers/List", "customers", 2)
	seen := map[string]int{}
	for _, c := range all {
		seen[c.ID]++
	}
	if seen[ann.id] != 1 || seen[bob.id] != 1 {
		t.Errorf("the list of customers holds ann %d and bob %d times", seen[ann.id], seen[bob.id])
	}
}

// profile is a customer as /customers/Read shows it.
type profile struct {
	ID, Status, Email, Name string
	Created                 int64 `json:"created,string"`
	Updated                 int64 `json:"updated,string"`
	Meta                    map[string]any
}

func (j *journey) read(t *testing.T, c client, by any) profile {
	t.Helper()
	return do[struct{ Customer profile }](t, c, "/customers/Read", by).Customer
}

func (j *journey) recovery(t *testing.T) {
	rita := j.signUp(t, j.boss, "rita@example.com")
	apiKey := rita.key(t)
	done(t, j.client, "/signup/Recover", map[string]string{"email": "nobody-at-all@example.com"})
	done(t, j.client, "/signup/Recover", map[string]string{"email": rita.email})
	reset := map[string]string{"email": rita.email, "token": "wrongOne", "password": "another-long-secret-2"}
	refused(t, j.post(t, "/signup/ResetPassword", reset), 403)
	reset["token"] = code(t, j.boss, rita.email)
	done(t, j.client, "/signup/ResetPassword", reset)
	refused(t, j.post(t, "/signup/ResetPassword", reset), 403)
	j.inspects(t, rita.session.Access, 401)
	refused(t, j.post(t, "/customers/Login", map[string]string{"refresh_token": rita.session.Refresh}), 401)
	refused(t, j.post(t, "/customers/Login", map[string]string{"email": rita.email, "password": rita.password}), 401)
	j.inspects(t, j.login(t, rita.email, reset["password"]).Access, 200)
	j.answers(t, apiKey.Key, 200)
}

// answers calls helloworld with a key and wants a status.
func (j *journey) answers(t *testing.T, key string, status int) answer {
	t.Helper()
	a := j.as(key).post(t, "/v1/helloworld/call", map[string]string{"name": "Jane"})
	if a.status != status {
		t.Errorf("a call: %d %s; want %d", a.status, a.body, status)
	}
	return a
}
