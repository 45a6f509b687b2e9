package split

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"testing"
	"time"
)

// client speaks to a gateway, as the owner of a token or as nobody.
type client struct {
	door  *process
	token string
}

// as is the same client with another token.
func (c client) as(token string) client {
	c.token = token
	return c
}

// at is the same client at another gateway.
func (c client) at(door *process) client {
	c.door = door
	return c
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// patience is how long a client waits for an answer: longer than any limit of the system's own.
const patience = 25 * time.Second

var connections = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}, Timeout: patience}

// send posts in as JSON; header pairs come last.
func (c client) send(path string, in any, header ...string) (answer, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return answer{}, err
	}
	r, err := http.NewRequest(http.MethodPost, c.door.base()+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := connections.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, text}, err
}

// post is send where a broken connection fails the test.
func (c client) post(t *testing.T, path string, in any, header ...string) answer {
	t.Helper()
	a, err := c.send(path, in, header...)
	if err != nil {
		t.Fatalf("%s at %s: %v", path, c.door.name, err)
	}
	return a
}

// do posts and decodes a 200.
func do[Out any](t *testing.T, c client, path string, in any, header ...string) (out Out) {
	t.Helper()
	a := c.post(t, path, in, header...)
	if a.status != http.StatusOK {
		t.Fatalf("%s at %s: %d %s", path, c.door.name, a.status, a.body)
	}
	if err := json.Unmarshal(a.body, &out); err != nil {
		t.Fatalf("%s: %s: %v", path, a.body, err)
	}
	return out
}

// token is a session.
type token struct {
	Access string `json:"access_token"`
}

func login(t *testing.T, c client, email, password string) string {
	t.Helper()
	return do[struct{ Token token }](t, c, "/customers/Login", map[string]string{"email": email, "password": password}).Token.Access
}

// key is an API key.
type key struct {
	Key string `json:"api_key"`
	ID  string `json:"api_key_id"`
}

// customer is somebody who has signed up, has money and has a key; the client is logged in.
type customer struct {
	client
	key
	id     string
	credit int64 // micro-dollars that it was ever given
}

// signUpCredit is what everybody has at first, in micro-dollars.
const signUpCredit = 1_000_000

var codeLine = regexp.MustCompile(`(?m)^[0-9A-Za-z]{8}$`)

// signUp makes a verified customer with the sign-up credit, and a key.
func (d *deployment) signUp(t *testing.T) *customer {
	t.Helper()
	d.signUps++
	email := fmt.Sprintf("customer-%d@example.com", d.signUps)
	do[any](t, d.client(), "/signup/User", map[string]string{"email": email})
	out := do[struct {
		AuthToken  token
		CustomerID string
	}](t, d.client(), "/signup/Verify", map[string]string{"email": email, "token": d.code(t, email), "secret": "a-long-secret-of-" + email})
	c := &customer{client: d.client().as(out.AuthToken.Access), id: out.CustomerID, credit: signUpCredit}
	c.key = d.newKey(t, c)
	eventually(t, startLimit, "the sign-up credit", func() bool { return c.balance(t).Current == c.credit })
	return c
}

// code is the newest code that was mailed to an address.
func (d *deployment) code(t *testing.T, email string) (code string) {
	t.Helper()
	eventually(t, startLimit, "the mail to "+email, func() bool {
		mails := do[struct{ Emails []struct{ To, Text string } }](t, d.boss, "/emails/List", map[string]int{"limit": 100}).Emails
		for _, m := range mails {
			if code = codeLine.FindString(m.Text); m.To == email && code != "" {
				return true
			}
		}
		return false
	})
	return code
}

func (d *deployment) newKey(t *testing.T, c *customer) key {
	t.Helper()
	return do[key](t, c.client, "/v1/api/keys/generate", map[string]any{"scopes": []string{"*"}, "description": "test"})
}

// adjust gives a customer money, or takes it.
func (d *deployment) adjust(t *testing.T, c *customer, delta int64, id string) {
	t.Helper()
	path, amount := "/balance/Increment", delta
	if delta < 0 {
		path, amount = "/balance/Decrement", -delta
	}
	do[any](t, d.boss, path, adjustment(c, amount, id))
	c.credit += delta
}

// adjustment is the body of an admin's posting.
func adjustment(c *customer, amount int64, id string) map[string]any {
	return map[string]any{"customer_id": c.id, "delta": amount, "reference": "For a test", "idempotency_key": c.id + id, "visible": false}
}

// unlimited puts a customer into the tier of the highest rate.
func (d *deployment) unlimited(t *testing.T, c *customer) {
	t.Helper()
	do[any](t, d.boss, "/billing/SubscribeTier", map[string]string{"id": "business", "customer_id": c.id})
}

// balance is what /balance/Current says.
type balance struct {
	Current int64 `json:"current_balance,string"`
	Leased  int64 `json:"leased,string"`
}

func (c *customer) balance(t *testing.T) balance {
	t.Helper()
	return do[balance](t, c.client, "/balance/Current", struct{}{})
}

// record is a served call.
type record struct {
	RequestID string `json:"request_id"`
	Service   string
	Endpoint  string
	Status    int
	Price     int64
}

// records pages through all records of a customer.
func (c *customer) records(t *testing.T) []record {
	t.Helper()
	return pages[record](t, c.client, "/usage/ListRecords", "records")
}

// entries are the amounts of all ledger entries of a customer.
func (c *customer) entries(t *testing.T) []struct{ Amount int64 } {
	t.Helper()
	return pages[struct{ Amount int64 }](t, c.client, "/balance/ListEntries", "entries")
}

// pages follows next_cursor to the end.
func pages[Item any](t *testing.T, c client, path, field string) (all []Item) {
	t.Helper()
	for cursor := ""; ; {
		page := do[map[string]json.RawMessage](t, c, path, map[string]any{"limit": 1000, "cursor": cursor})
		var items []Item
		if err := errors.Join(json.Unmarshal(page[field], &items), json.Unmarshal(page["next_cursor"], &cursor)); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, items...)
		if cursor == "" {
			return all
		}
	}
}
