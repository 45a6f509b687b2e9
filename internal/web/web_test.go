package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/rpc"
	"m3o/internal/web"
)

// buffer is a log that a test can read while the server writes it.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// edge is a server under test.
type edge struct {
	t     *testing.T
	http  *httptest.Server
	log   *buffer
	ready *web.Readiness
}

// seen is what the sample functions answer: how the request reached them.
type seen struct {
	Function string      `json:"function"`
	Host     string      `json:"host"`
	Header   http.Header `json:"header"`
	Account  string      `json:"account"`
	Client   string      `json:"client"`
	Body     string      `json:"body"`
	Path     string      `json:"path"`
	Query    string      `json:"query"`
}

func functions() []rpc.Function {
	f := func(host, name, path, method string, access rpc.Access) rpc.Function {
		return rpc.Function{Service: host, Name: name, Host: host, Port: 443, Path: path, Method: method, Access: access, Timeout: time.Second}
	}
	other := f("sample", "Other", "/other", rpc.Any, rpc.Public)
	other.Port = 444
	return []rpc.Function{
		f("sample", "Open", "/open", rpc.Any, rpc.Public),
		f("sample", "ListThings", "/list-things", rpc.Any, rpc.Customer),
		f("sample", "Rule", "/rule", http.MethodPost, rpc.Admin),
		f("sample", "Hidden", "/hidden", rpc.Any, rpc.Internal),
		f("sample", "File", "/file/{name}", http.MethodGet, rpc.Public),
		f("sample", "Tree", "/tree/{path+}", http.MethodGet, rpc.Public),
		f("signup", "User", "/user", http.MethodPost, rpc.Public),
		f("v1", "Generate", "/api/keys/generate", http.MethodPost, rpc.Customer),
		other,
	}
}

// serve puts functions on a bus, each answered by h.
func serve(b bus.Bus, replica string, h http.Handler, functions ...rpc.Function) {
	var endpoints []bus.Endpoint
	for _, f := range functions {
		endpoints = append(endpoints, bus.Endpoint{Host: f.Host, Port: f.Port, Method: f.Method, Path: f.Path, Queue: f.Host, Handler: h})
	}
	b.Serve(replica, endpoints...)
}

// answering adds a public function to the edge, at a path of host sample.
func answering(path string, h http.HandlerFunc) func(*web.Config) {
	return also(h, rpc.Function{Host: "sample", Name: "Extra", Port: 443, Path: path, Method: rpc.Any, Access: rpc.Public})
}

// also adds functions to the edge.
func also(h http.Handler, functions ...rpc.Function) func(*web.Config) {
	return func(c *web.Config) {
		serve(c.Bus, "extra", h, functions...)
		c.Functions = append(c.Functions, functions...)
	}
}

// all makes several changes.
func all(changes ...func(*web.Config)) func(*web.Config) {
	return func(c *web.Config) {
		for _, change := range changes {
			change(c)
		}
	}
}

// setup starts an edge before three sample hosts and a gateway.
func setup(t *testing.T, change func(*web.Config)) *edge {
	t.Helper()
	e, h := unstarted(t, change)
	e.http = httptest.NewServer(h)
	t.Cleanup(e.http.Close)
	return e
}

// unstarted makes an edge that listens nowhere.
func unstarted(t *testing.T, change func(*web.Config)) (*edge, http.Handler) {
	t.Helper()
	log := &buffer{}
	logger := slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b := bus.NewMemory(bus.MemoryConfig{})
	for _, f := range functions() {
		serve(b, "first", show(f.Host), f)
	}
	c := web.Config{
		Bus: b, Functions: functions(), Gateway: show("gateway"), Authenticate: authenticate,
		Catalogue: func(context.Context) (web.Catalogue, error) { return catalogue(), nil },
		Ready:     web.NewReadiness(logger), Metrics: prometheus.NewRegistry(), Log: logger, Version: "test",
		Now: func() time.Time { return time.Now().UTC() }, BodyLimit: func() int64 { return 1000 },
	}
	if change != nil {
		change(&c)
	}
	h, err := web.NewHandler(c)
	if err != nil {
		t.Fatal(err)
	}
	return &edge{t: t, log: log, ready: c.Ready}, h
}

func authenticate(_ context.Context, token string) (auth.Account, error) {
	switch token {
	case "customer":
		return auth.Account{ID: "cus_1", Type: auth.TypeCustomer, Session: "ses_1"}, nil
	case "admin":
		return auth.Account{ID: "cus_0", Type: auth.TypeAdmin, Session: "ses_0"}, nil
	case "down":
		return auth.Account{}, fault.New(fault.Unavailable, "the store is away")
	}
	return auth.Account{}, fault.New(fault.Unauthenticated, "Unauthorized")
}

// show answers with how the request looks where it arrives.
func show(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			status := fault.CodeOf(err).Status()
			w.WriteHeader(status)
			return
		}
		switch string(body) {
		case "panic":
			panic("secret reason")
		case "panic late":
			_, _ = w.Write([]byte("begun"))
			panic("secret reason")
		}
		account, _ := auth.From(r.Context())
		_ = json.NewEncoder(w).Encode(seen{
			Function: name, Host: r.URL.Host, Header: r.Header, Account: account.ID, Client: auth.Client(r.Context()), Body: string(body), Path: r.URL.Path, Query: r.URL.RawQuery,
		})
	})
}

func catalogue() web.Catalogue {
	return web.Catalogue{Version: 1, APIs: []web.API{
		{
			Name: "helloworld", DisplayName: "Hello World", Description: "Greets.", Category: "utility", Icon: "👋",
			Endpoints: []web.Endpoint{{Name: "Helloworld.Call", Path: "/v1/helloworld/call", Price: 10, Free: 100}, {Name: "Helloworld.Stream", Path: "/v1/helloworld/stream"}},
			Document: []byte(`{"openapi":"3.1.0","paths":{"/v1/helloworld/Call":{"post":{"x-m3o-endpoint":"Helloworld.Call","requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/In"}}}}}},
				"/v1/helloworld/Old":{"post":{}}},"components":{"schemas":{"In":{"type":"object"}}}}`),
		},
		{Name: "broken", Document: []byte(`{`)},
	}}
}

// do sends a request; the header lines are "Name: value".
func (e *edge) do(method, path, body string, header ...string) (*http.Response, string) {
	e.t.Helper()
	r, err := http.NewRequestWithContext(e.t.Context(), method, e.http.URL+path, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return e.send(r)
}

func (e *edge) send(r *http.Request) (*http.Response, string) {
	e.t.Helper()
	resp, err := e.http.Client().Do(r)
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return resp, string(text)
}

// arrived sends a request and returns how it reached a function.
func (e *edge) arrived(method, path, body string, header ...string) seen {
	e.t.Helper()
	resp, text := e.do(method, path, body, header...)
	var s seen
	if err := json.Unmarshal([]byte(text), &s); err != nil || resp.StatusCode != http.StatusOK {
		e.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, text)
	}
	return s
}

// lines are the log's records with that message. The line of a request comes after its
// answer, so it is waited for.
func (e *edge) lines(message string, count int) []map[string]any {
	e.t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; {
		var found []map[string]any
		for line := range strings.Lines(e.log.String()) {
			var record map[string]any
			if json.Unmarshal([]byte(line), &record) == nil && record["msg"] == message {
				found = append(found, record)
			}
		}
		if len(found) >= count {
			return found
		}
		if time.Now().After(deadline) {
			e.t.Fatalf("the log has no %d × %q:\n%s", count, message, e.log)
		}
		time.Sleep(time.Millisecond)
	}
}

func proxies(list ...string) func(*web.Config) {
	return func(c *web.Config) {
		for _, p := range list {
			c.Proxies = append(c.Proxies, netip.MustParsePrefix(p))
		}
	}
}
