package test

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// listed is a key as /v1/api/keys/list shows it.
type listed struct {
	ID, Description, Prefix string
	CreatedTime             int64 `json:"created_time,string"`
	LastSeen                int64 `json:"last_seen,string"`
	Scopes                  []string
	Blocked                 []struct{ Reason, Message string }
}

func (c customer) keys(t *testing.T) []listed {
	t.Helper()
	return do[struct {
		Keys []listed `json:"api_keys"`
	}](t, c.client, "/v1/api/keys/list", struct{}{}).Keys
}

func (j *journey) keys(t *testing.T) {
	kim, eve := j.signUp(t, j.boss, "kim@example.com"), j.signUp(t, j.boss, "eve@example.com")
	generate := func(in map[string]any) answer { return kim.post(t, "/v1/api/keys/generate", in) }
	refusedAs(t, generate(map[string]any{"description": "d"}), 400, "v1.GenerateKey", "")
	refusedAs(t, generate(map[string]any{"scopes": []string{}, "description": "d"}), 400, "v1.GenerateKey", "")
	refusedAs(t, generate(map[string]any{"scopes": []string{"*"}}), 400, "v1.GenerateKey", "")
	refused(t, generate(map[string]any{"scopes": []string{"nonsense"}, "description": "d"}), 403)
	refused(t, generate(map[string]any{"scopes": []string{"helloworld", "nonsense"}, "description": "d"}), 403)
	refused(t, j.post(t, "/v1/api/keys/generate", map[string]any{"scopes": []string{"*"}, "description": "d"}), 401)
	if got := kim.keys(t); len(got) != 0 {
		t.Errorf("refused keys are there: %+v", got)
	}
	a := generate(map[string]any{"scopes": []string{"HelloWorld"}, "description": "for hello"})
	scoped := decode[key](t, a)
	all := kim.key(t)
	if a.status != 200 || !strings.HasPrefix(scoped.Key, "m3o_") || len(scoped.Key) != 40 || scoped.ID == "" {
		t.Fatalf("%d, a key of %d characters", a.status, len(scoped.Key))
	}
	j.answers(t, scoped.Key, 200)
	j.answers(t, all.Key, 200)
	list := kim.post(t, "/v1/api/keys/list", struct{}{})
	if bytes.Contains(list.body, []byte(scoped.Key[10:])) || bytes.Contains(list.body, []byte(all.Key[10:])) {
		t.Error("the list shows a key")
	}
	for _, k := range kim.keys(t) {
		if k.ID == scoped.ID && (k.Description != "for hello" || !strings.HasPrefix(scoped.Key, k.Prefix) || len(k.Prefix) > 12 || k.CreatedTime == 0 || len(k.Blocked) != 0) {
			t.Errorf("%+v", k)
		}
	}
	eventually(t, 10*time.Second, "last_seen of a used key", func() bool {
		return !slices.ContainsFunc(kim.keys(t), func(k listed) bool { return k.LastSeen == 0 })
	})
	refused(t, eve.post(t, "/v1/api/keys/revoke", map[string]string{"id": all.ID}), 404)
	refused(t, kim.post(t, "/v1/api/keys/revoke", map[string]string{}), 400)
	j.answers(t, all.Key, 200)
	done(t, kim.client, "/v1/api/keys/revoke", map[string]string{"id": all.ID})
	refusedAs(t, j.answers(t, all.Key, 401), 401, "v1", "Unauthorized")
	j.answers(t, scoped.Key, 200)
	j.keyLimits(t, kim)
}

// keyLimits covers the options of a key: expires and rate.
func (j *journey) keyLimits(t *testing.T, kim customer) {
	with := func(option string, value any) key {
		return do[key](t, kim.client, "/v1/api/keys/generate", map[string]any{"scopes": []string{"*"}, "description": "d", option: value})
	}
	brief := with("expires", time.Now().Add(1500*time.Millisecond).UTC().Format(time.RFC3339Nano))
	j.answers(t, brief.Key, 200)
	eventually(t, 10*time.Second, "a key to expire", func() bool {
		return j.as(brief.Key).post(t, "/v1/helloworld/call", struct{}{}).status == http.StatusUnauthorized
	})
	slow := with("rate", 1)
	j.answers(t, slow.Key, 200)
	a := j.answers(t, slow.Key, 429)
	refusedAs(t, a, 429, "v1.blocked", "Too Many Requests")
	if a.header.Get("Retry-After") == "" || a.header.Get("RateLimit") == "" || a.header.Get("RateLimit-Policy") == "" {
		t.Errorf("429 with the headers %v", a.header)
	}
}

func (j *journey) blocks(t *testing.T) {
	mel, other := j.signUp(t, j.boss, "mel@example.com"), j.signUp(t, j.boss, "other@example.com")
	one, two := mel.key(t), mel.key(t)
	j.answers(t, one.Key, 200)
	done(t, j.boss, "/v1/BlockKey", map[string]string{"user_id": mel.id, "key_id": one.ID, "message": "Leaked on a forum"})
	refusedAs(t, j.answers(t, one.Key, 403), 403, "v1.blocked", "Request blocked. Leaked on a forum")
	j.answers(t, two.Key, 200)
	done(t, j.boss, "/v1/BlockKey", map[string]string{"user_id": mel.id, "message": "All of them"})
	j.answers(t, two.Key, 403)
	for _, k := range mel.keys(t) {
		if len(k.Blocked) == 0 {
			t.Errorf("a blocked key is listed as %+v", k)
		}
	}
	done(t, j.boss, "/customers/Ban", map[string]string{"id": mel.id})
	done(t, j.boss, "/customers/Unban", map[string]string{"id": mel.id})
	j.answers(t, one.Key, 403)
	j.answers(t, two.Key, 403)
	done(t, j.boss, "/v1/UnblockKey", map[string]string{"user_id": mel.id})
	j.answers(t, one.Key, 200)
	j.answers(t, two.Key, 200)
	refused(t, j.boss.post(t, "/v1/BlockKey", map[string]string{"user_id": other.id, "key_id": one.ID}), 404)
	refused(t, j.boss.post(t, "/v1/BlockKey", map[string]string{}), 400)
	j.answers(t, one.Key, 200)
}

func (j *journey) bans(t *testing.T) {
	ben := j.signUp(t, j.boss, "ben@example.com")
	k := ben.key(t)
	j.answers(t, k.Key, 200)
	done(t, j.boss, "/customers/Ban", map[string]string{"email": ben.email})
	refusedAs(t, j.answers(t, k.Key, 403), 403, "v1.blocked", "Request blocked. User has been banned")
	j.inspects(t, ben.session.Access, 401)
	if a := j.post(t, "/customers/Login", map[string]string{"email": ben.email, "password": ben.password}); a.status == 200 {
		t.Error("a banned customer has logged in")
	}
	if a := j.post(t, "/signup/User", map[string]string{"email": ben.email}); a.status < 400 || a.status >= 500 {
		t.Errorf("a banned customer signs up again: %d %s", a.status, a.body)
	}
	if got := j.read(t, j.boss, map[string]string{"id": ben.id}); got.Status != "banned" {
		t.Errorf("status %s", got.Status)
	}
	done(t, j.boss, "/customers/Unban", map[string]string{"id": ben.id})
	j.answers(t, k.Key, 200)
	j.inspects(t, ben.session.Access, 401)
	j.inspects(t, j.login(t, ben.email, ben.password).Access, 200)
	refused(t, j.boss.post(t, "/customers/Ban", map[string]string{"id": "cus_nobody"}), 404)
}

func (j *journey) calls(t *testing.T) {
	cal := j.signUp(t, j.boss, "cal@example.com")
	k := cal.key(t)
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+k.Key))
	const body, hello = `{"name":"Jane"}`, `{"message":"Hello Jane"}`
	for name, a := range map[string]answer{
		"bearer":    j.as(k.Key).request(t, "POST", "/v1/helloworld/call", body),
		"basic":     j.request(t, "POST", "/v1/helloworld/call", body, "Authorization", basic),
		"protocol":  j.request(t, "POST", "/v1/helloworld/call", body, "Sec-WebSocket-Protocol", k.Key),
		"case":      j.as(k.Key).request(t, "POST", "/v1/HelloWorld/CALL", body),
		"query":     j.as(k.Key).request(t, "GET", "/v1/helloworld/call?name=Jane", ""),
		"form":      j.as(k.Key).request(t, "POST", "/v1/helloworld/call", "name=Jane", "Content-Type", "application/x-www-form-urlencoded"),
		"body wins": j.as(k.Key).request(t, "POST", "/v1/helloworld/call?name=Query", body),
		"namespace": j.as(k.Key).request(t, "POST", "/v1/helloworld/call", body, "Micro-Namespace", "anything"),
	} {
		if a.status != 200 || strings.TrimSpace(string(a.body)) != hello || a.header.Get("M3O-Price") != "10" || a.header.Get("M3O-Request-Id") == "" {
			t.Errorf("%s: %d %s, price %q", name, a.status, a.body, a.header.Get("M3O-Price"))
		}
	}
	a := j.as(k.Key).request(t, "POST", "/v1/helloworld/stream", `{"name":"Jane","messages":3}`)
	if a.status != 200 || string(a.body) != strings.Repeat(hello+"\n", 3) {
		t.Errorf("the stream: %d %q", a.status, a.body)
	}
	if b, n := cal.balance(t), len(cal.records(t, 50)); b.Current != 1_000_000-9*10 || n != 9 {
		t.Errorf("after 9 calls: %+v, %d records", b, n)
	}
	for name, header := range map[string]string{"none": "", "scheme": "Digest x", "empty": "Bearer ", "unknown": "Bearer m3o_000000000000000000000000000000000000",
		"session": "Bearer " + cal.session.Access, "basic": "Basic !!!", "half": "Bearer " + k.Key[:39], "longer": "Bearer " + k.Key + "0"} {
		a := j.request(t, "POST", "/v1/helloworld/call", body, "Authorization", header)
		refusedAs(t, a, 401, "v1", "Unauthorized")
		if a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate", name)
		}
	}
	refusedAs(t, j.as(k.Key).request(t, "POST", "/v1/helloworld/nope", body), 404, "v1", "No such API")
	refusedAs(t, j.as(k.Key).request(t, "POST", "/v1/nope/call", body), 404, "v1", "No such API")
	refused(t, j.as(k.Key).request(t, "POST", "/balance/current", "{}"), 401)
	refused(t, j.as(k.Key).request(t, "POST", "/helloworld/call", "{}"), 404)
	if b := cal.balance(t); b.Current != 1_000_000-9*10 {
		t.Errorf("a refused call was charged: %+v", b)
	}
}
