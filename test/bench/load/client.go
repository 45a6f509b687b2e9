package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
)

// Client speaks to m3o's API as the owner of a session.
type Client struct{ base, token string }

// Post sends in as JSON and decodes the answer into out, unless that is nil. Anything
// but a 200 is an error.
func (c Client) Post(path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequest(http.MethodPost, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return err
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s: %s", path, answer.Status, text)
	case out == nil:
		return nil
	}
	return json.Unmarshal(text, out)
}

type session struct {
	Access string `json:"access_token"`
}

// Customer is a verified customer; the client is logged in.
type Customer struct {
	Client
	ID  string
	Key Key
}

// Key is an API key.
type Key struct {
	Key string `json:"api_key"`
	ID  string `json:"api_key_id"`
}

// NewCustomer signs somebody up who has a key, and credit in micro-dollars beside what
// everybody is given.
func (m *M3O) NewCustomer(email string, credit int64) (Customer, error) {
	c, err := m.signUp(email)
	if err != nil {
		return c, err
	}
	if credit > 0 {
		in := map[string]any{"customer_id": c.ID, "delta": credit, "reference": "bench", "idempotency_key": "bench-" + c.ID, "visible": true}
		if err := m.Admin.Post("/balance/Increment", in, nil); err != nil {
			return c, err
		}
	}
	c.Key, err = c.NewKey()
	return c, err
}

func (m *M3O) signUp(email string) (Customer, error) {
	nobody := Client{base: m.Address}
	if err := nobody.Post("/signup/User", map[string]string{"email": email}, nil); err != nil {
		return Customer{}, err
	}
	code, err := m.code(email)
	if err != nil {
		return Customer{}, err
	}
	var out struct {
		Session session `json:"authToken"`
		ID      string  `json:"customerID"`
	}
	err = nobody.Post("/signup/Verify", map[string]string{"email": email, "token": code, "secret": adminPassword}, &out)
	return Customer{Client: Client{base: m.Address, token: out.Session.Access}, ID: out.ID}, err
}

// codeLine is a code in a mail, where it stands alone on its line.
var codeLine = regexp.MustCompile(`(?m)^[0-9A-Za-z]{8}$`)

// code is the code that was mailed to an address, from the local outbox of mails.
func (m *M3O) code(email string) (string, error) {
	var out struct{ Emails []struct{ To, Text string } }
	if err := m.Admin.Post("/emails/List", map[string]int{"limit": 100}, &out); err != nil {
		return "", err
	}
	for _, mail := range out.Emails {
		if code := codeLine.FindString(mail.Text); mail.To == email && code != "" {
			return code, nil
		}
	}
	return "", errors.New("no code was mailed to " + email)
}

// NewKey makes a key for all APIs.
func (c Customer) NewKey() (k Key, err error) {
	err = c.Post("/v1/api/keys/generate", map[string]any{"scopes": []string{"*"}, "description": "bench"}, &k)
	return k, err
}

// Revoke revokes a key.
func (c Customer) Revoke(k Key) error {
	return c.Post("/v1/api/keys/revoke", map[string]string{"id": k.ID}, nil)
}
