package test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// client speaks to a system, as the owner of a token or as nobody.
type client struct {
	base, token string
	http        *http.Client
}

// as is the same client with another token.
func (c client) as(token string) client {
	c.token = token
	return c
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// send makes a request; header pairs come last and win over the token.
func (c client) send(method, path string, body io.Reader, header ...string) (answer, error) {
	r, err := http.NewRequest(method, c.base+path, body)
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, text}, err
}

// request is send where a broken connection fails the test.
func (c client) request(t *testing.T, method, path, body string, header ...string) answer {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	a, err := c.send(method, path, reader, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// post sends in as JSON.
func (c client) post(t *testing.T, path string, in any, header ...string) answer {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	return c.request(t, http.MethodPost, path, string(body), header...)
}

// do posts and decodes a 200.
func do[Out any](t *testing.T, c client, path string, in any, header ...string) Out {
	t.Helper()
	a := c.post(t, path, in, header...)
	if a.status != http.StatusOK {
		t.Fatalf("%s %v: %d %s", path, in, a.status, a.body)
	}
	return decode[Out](t, a)
}

// done posts and wants the empty answer.
func done(t *testing.T, c client, path string, in any, header ...string) {
	t.Helper()
	if a := c.post(t, path, in, header...); a.status != http.StatusOK || string(bytes.TrimSpace(a.body)) != "{}" {
		t.Fatalf("%s %v: %d %s; want 200 {}", path, in, a.status, a.body)
	}
}

// decode reads a body.
func decode[Out any](t *testing.T, a answer) Out {
	t.Helper()
	var out Out
	if err := json.Unmarshal(a.body, &out); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	return out
}

// problem is an error answer.
type problem struct {
	Type, Title, Detail, Instance, ID string
	Status, Code                      int
}

// internals are texts that no answer may hold.
var internals = regexp.MustCompile(`(?i)\bsql|sqlite|sqlstate|\bpq\b|pgx|postgres|constraint|panic|goroutine|runtime error|\.go:|/tmp/|/home/|/root/|/internal/|unmarshal|parsing time|(?-i:\*[a-z]+\.[A-Z]|\bjson: )`)

// refused checks the status and the whole shape of an error answer, and returns it.
func refused(t *testing.T, a answer, status int) problem {
	t.Helper()
	if a.status != status {
		t.Errorf("%d %s; want %d", a.status, a.body, status)
		return problem{}
	}
	p := decode[problem](t, a)
	if kind := a.header.Get("Content-Type"); !strings.HasPrefix(kind, "application/problem+json") {
		t.Errorf("Content-Type %q of %s", kind, a.body)
	}
	if p.Status != status || p.Code != status || cmp.Or(p.Type, p.Title) == "" || p.Title == "" || p.Detail == "" || p.ID == "" {
		t.Errorf("not a full problem: %s", a.body)
	}
	if p.Instance == "" || p.Instance != a.header.Get("M3O-Request-Id") {
		t.Errorf("instance %q, M3O-Request-Id %q", p.Instance, a.header.Get("M3O-Request-Id"))
	}
	if leak := internals.Find(a.body); leak != nil {
		t.Errorf("internal text %q in %s", leak, a.body)
	}
	return p
}

// refusedAs is refused with an id and a detail; an empty one is not compared.
func refusedAs(t *testing.T, a answer, status int, id, detail string) {
	t.Helper()
	p := refused(t, a, status)
	if p.Code != 0 && (id != "" && p.ID != id || detail != "" && p.Detail != detail) {
		t.Errorf("id %q detail %q; want %q %q", p.ID, p.Detail, id, detail)
	}
}

// token is a session.
type token struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Created int64  `json:"created,string"`
	Expiry  int64  `json:"expiry,string"`
}

// customer is somebody who has signed up; the client is logged in.
type customer struct {
	client
	id, email, password string
	session             token
}

// login opens a session.
func (c client) login(t *testing.T, email, password string) token {
	t.Helper()
	return do[struct{ Token token }](t, c.as(""), "/customers/Login", map[string]string{"email": email, "password": password}).Token
}

// admin is a client with the admin's session.
func (s *system) admin(t *testing.T) client {
	t.Helper()
	return s.as(s.login(t, adminEmail, adminPassword).Access)
}

// mail is a mail of the local outbox.
type mail struct {
	ID, To, Subject, Text string
	Created               time.Time
}

var codeLine = regexp.MustCompile(`(?m)^[0-9A-Za-z]{8}$`)

// code is the newest code that was mailed to an address; it must stand alone on a line.
func code(t *testing.T, admin client, email string) string {
	t.Helper()
	for _, m := range do[struct{ Emails []mail }](t, admin, "/emails/List", map[string]int{"limit": 1000}).Emails {
		if c := codeLine.FindString(m.Text); m.To == email && c != "" {
			return c
		}
	}
	t.Fatalf("no code was mailed to %s", email)
	return ""
}

// signUp makes a verified customer with the sign-up credit.
func (s *system) signUp(t *testing.T, admin client, email string) customer {
	t.Helper()
	done(t, s.client, "/signup/User", map[string]string{"email": email})
	password := "a-long-secret-of-" + email
	out := do[struct {
		AuthToken  token
		CustomerID string
	}](t, s.client, "/signup/Verify", map[string]string{"email": email, "token": code(t, admin, email), "secret": password})
	c := customer{s.as(out.AuthToken.Access), out.CustomerID, email, password, out.AuthToken}
	if elsewhere() != "" && !soon(t, func() bool { return c.balance(t).Current > 0 }) {
		t.Errorf("%s has no sign-up credit", email)
	}
	return c
}

// key is an API key as it is shown once.
type key struct {
	Key string `json:"api_key"`
	ID  string `json:"api_key_id"`
}

// key makes a key for all APIs.
func (c customer) key(t *testing.T) key {
	t.Helper()
	return do[key](t, c.client, "/v1/api/keys/generate", map[string]any{"scopes": []string{"*"}, "description": "test"})
}

// balance is what /balance/Current says.
type balance struct {
	Current int64 `json:"current_balance,string"`
	Leased  int64 `json:"leased,string"`
}

func (c customer) balance(t *testing.T) balance {
	t.Helper()
	return do[balance](t, c.client, "/balance/Current", struct{}{})
}

// record is a served call.
type record struct {
	RequestID  string `json:"request_id"`
	KeyID      string `json:"key_id"`
	Service    string
	Endpoint   string
	Status     int
	Price      int64
	DurationUS int64 `json:"duration_us"`
	Time       time.Time
}

// entry is a line of the ledger.
type entry struct {
	ID, Kind, Account, Reference string
	Amount                       int64
	Time                         time.Time
}

// records pages through all records of a customer.
func (c customer) records(t *testing.T, limit int) []record {
	t.Helper()
	return pages[record](t, c.client, "/usage/ListRecords", "records", limit)
}

// entries pages through all ledger entries of a customer.
func (c customer) entries(t *testing.T, limit int) []entry {
	t.Helper()
	return pages[entry](t, c.client, "/balance/ListEntries", "entries", limit)
}

// pages follows next_cursor to the end and checks that no page is longer than asked for; filter is pairs of fields.
func pages[Item any](t *testing.T, c client, path, field string, limit int, filter ...string) []Item {
	t.Helper()
	var all []Item
	in := map[string]any{"limit": limit}
	for i := 0; i+1 < len(filter); i += 2 {
		in[filter[i]] = filter[i+1]
	}
	for cursor := ""; ; {
		in["cursor"] = cursor
		page := do[map[string]json.RawMessage](t, c, path, in)
		var items []Item
		if err := errors.Join(json.Unmarshal(page[field], &items), json.Unmarshal(page["next_cursor"], &cursor)); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if len(items) > limit {
			t.Fatalf("%s: %d items on a page of %d", path, len(items), limit)
		}
		all = append(all, items...)
		if cursor == "" {
			return all
		}
	}
}
