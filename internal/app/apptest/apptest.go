// Package apptest runs the whole house inside a test: a real HTTP port, a real
// store, every service. Tests only.
package apptest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"m3o/internal/app"
)

// The admin of every System, and the password of customers.
const (
	AdminEmail    = "admin@example.com"
	AdminPassword = "an admin's long password"
	Password      = "correct horse battery" // of who signs up
)

// System is a running house.
type System struct {
	t       testing.TB
	config  app.Config
	app     *app.App
	failed  error  // of the last start
	URL     string // such as http://127.0.0.1:40123
	Printed string // what the start told the operator
	Data    string // the data directory
}

// Option changes how a System starts.
type Option func(*app.Config)

// Postgres keeps the data in a database of Postgres.
func Postgres(url string) Option { return func(c *app.Config) { c.DB = url } }

// Set gives a service a configuration value, as the environment does:
// Set("gateway", "BodyLimit", "100").
func Set(host, property, value string) Option {
	return func(c *app.Config) {
		c.Environ = append(c.Environ, fmt.Sprintf("M3O_%s_%s=%s", host, property, value))
	}
}

// Demo makes the demo customer as well.
func Demo() Option { return func(c *app.Config) { c.NoDemo = false } }

// Data starts on a directory of the test's own.
func Data(dir string) Option { return func(c *app.Config) { c.Data = dir } }

// Log sends the log somewhere; by default it goes to the test's.
func Log(w io.Writer) Option {
	return func(c *app.Config) {
		c.Log = slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
}

// Start starts a house on a free port of this machine, with SQLite in a temporary
// directory unless an option says otherwise. It is stopped when the test ends.
func Start(t testing.TB, options ...Option) *System {
	t.Helper()
	s := prepare(t, options...)
	s.start()
	return s
}

// prepare makes a house that is not started, and is stopped when the test ends.
func prepare(t testing.TB, options ...Option) *System {
	t.Helper()
	s := &System{t: t, config: app.Config{
		Listen: "127.0.0.1:0", NoDemo: true, AdminEmail: AdminEmail, AdminPassword: AdminPassword, Version: "test",
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Now: func() time.Time { return time.Now().UTC() },
	}}
	for _, option := range options {
		option(&s.config)
	}
	if s.config.Data == "" {
		s.config.Data = t.TempDir()
	}
	s.Data = s.config.Data
	t.Cleanup(s.Stop)
	return s
}

func (s *System) start() {
	s.t.Helper()
	if s.begin(); s.failed != nil {
		s.t.Fatalf("start: %v", s.failed)
	}
}

// begin is start for a goroutine that may not end the test.
func (s *System) begin() {
	var printed bytes.Buffer
	s.config.Out = &printed
	a, err := app.Start(context.WithoutCancel(s.t.Context()), s.config)
	if s.failed = err; err == nil {
		s.app, s.URL, s.Printed = a, a.Address(), printed.String()
	}
}

// Stop stops the house in order. It may be called twice, and for one that did not start.
func (s *System) Stop() {
	s.t.Helper()
	if s.app == nil {
		return
	}
	if err := s.app.Stop(); err != nil {
		s.t.Errorf("stop: %v", err)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// Restart stops the house and starts it again on its data; the port is another.
func (s *System) Restart() {
	s.t.Helper()
	s.Stop()
	s.start()
}

// Answer is an HTTP answer, read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Into decodes the body.
func (a Answer) Into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(a.Body, v); err != nil {
		t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
}

// Do sends a request. Token, unless empty, goes along as bearer; header lines are
// "Name: value". Body is sent as it is when it is a string or bytes, else as JSON.
func (s *System) Do(method, path, token string, body any, header ...string) Answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, bytes.NewReader(encoded(s.t, body)))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return Answer{resp.StatusCode, resp.Header, text}
}

func encoded(t testing.TB, body any) []byte {
	t.Helper()
	switch b := body.(type) {
	case nil:
		return nil
	case string:
		return []byte(b)
	case []byte:
		return b
	}
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Post sends a POST.
func (s *System) Post(path, token string, body any) Answer {
	s.t.Helper()
	return s.Do(http.MethodPost, path, token, body)
}

// Must posts, wants a 200, and decodes the answer into v unless it is nil.
func (s *System) Must(path, token string, body, v any) {
	s.t.Helper()
	a := s.Post(path, token, body)
	if a.Status != http.StatusOK {
		s.t.Fatalf("%s: %d %s", path, a.Status, a.Body)
	}
	if v != nil {
		a.Into(s.t, v)
	}
}

// Session is a customer who has logged in.
type Session struct {
	CustomerID string
	Email      string
	Token      string // access token
	Refresh    string
}

// SignUp makes a verified customer as a stranger does: by the code in a mail. Its
// sign-up credit has arrived.
func (s *System) SignUp(email string) Session {
	s.t.Helper()
	s.Must("/signup/user", "", map[string]string{"email": email}, nil)
	var verified struct {
		AuthToken struct {
			AccessToken  string `json:"access_token"`
			RefreshToken string `json:"refresh_token"`
		} `json:"authToken"`
		CustomerID string `json:"customerID"`
	}
	s.Must("/signup/verify", "", map[string]string{"email": email, "token": s.Code(email), "secret": Password}, &verified)
	session := Session{CustomerID: verified.CustomerID, Email: email, Token: verified.AuthToken.AccessToken, Refresh: verified.AuthToken.RefreshToken}
	s.Await("the sign-up credit", func() bool { return s.Balance(session.Token) > 0 })
	return session
}

// Code is the code in the newest mail to an address.
func (s *System) Code(email string) string {
	s.t.Helper()
	var list struct{ Emails []struct{ To, Text string } }
	s.Must("/emails/list", s.AdminToken(), map[string]any{}, &list)
	for _, mail := range list.Emails {
		if mail.To == email {
			return regexp.MustCompile(`(?m)^\S{8}$`).FindString(mail.Text) // alone on a line
		}
	}
	s.t.Fatalf("no mail to %s", email)
	return ""
}

// Login opens a session.
func (s *System) Login(email, password string) Session {
	s.t.Helper()
	var answer struct {
		Token struct {
			AccessToken  string `json:"access_token"`
			RefreshToken string `json:"refresh_token"`
		}
	}
	s.Must("/customers/login", "", map[string]string{"email": email, "password": password}, &answer)
	return Session{Email: email, Token: answer.Token.AccessToken, Refresh: answer.Token.RefreshToken}
}

// AdminToken is an access token of the admin, a new one each time.
func (s *System) AdminToken() string {
	s.t.Helper()
	return s.Login(AdminEmail, AdminPassword).Token
}

// Key makes an API key for the scopes, all APIs when there is none.
func (s *System) Key(token string, scopes ...string) (key, keyID string) {
	s.t.Helper()
	if len(scopes) == 0 {
		scopes = []string{"*"}
	}
	var answer struct {
		APIKey   string `json:"api_key"`
		APIKeyID string `json:"api_key_id"`
	}
	s.Must("/v1/api/keys/generate", token, map[string]any{"scopes": scopes, "description": "test"}, &answer)
	return answer.APIKey, answer.APIKeyID
}

// Call calls an API on sale, such as Call(key, "helloworld/call", …).
func (s *System) Call(key, endpoint string, body any) Answer {
	s.t.Helper()
	return s.Post("/v1/"+endpoint, key, body)
}

// Balance is the current balance of a session's customer, in micro-dollars.
func (s *System) Balance(token string) int64 {
	s.t.Helper()
	var answer struct {
		CurrentBalance int64 `json:"current_balance,string"`
	}
	s.Must("/balance/current", token, map[string]any{}, &answer)
	return answer.CurrentBalance
}

// Await asks again and again until it is so, and fails the test after ten seconds.
func (s *System) Await(what string, so func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !so(); {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: it did not come to be", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Recorded are the request ids of a session's recorded calls, newest first.
func (s *System) Recorded(token string) (ids []string) {
	s.t.Helper()
	var list struct {
		Records []struct {
			RequestID string `json:"request_id"`
		}
	}
	s.Must("/usage/list-records", token, map[string]any{"limit": 1000}, &list)
	for _, r := range list.Records {
		ids = append(ids, r.RequestID)
	}
	return ids
}
