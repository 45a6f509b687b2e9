package split

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// price is what each call costs, in micro-dollars.
const price = 10

// market is what customers call: a service on the bus, whole and streamed, and somebody's HTTP server.
type market struct {
	server *httptest.Server
	mu     sync.Mutex
	served map[string]bool // request ids that the HTTP server has answered
}

// What is called on the market.
const (
	viaBus     = "/v1/helloworld/call"
	viaStream  = "/v1/helloworld/stream"
	viaHTTP    = "/v1/echo/say"
	httpSeller = "echo"
)

// question is a body that all of them take.
var question = map[string]any{"name": "Jane", "messages": 3}

// openMarket puts an HTTP server on sale.
func (d *deployment) openMarket(t *testing.T) *market {
	t.Helper()
	m := &market{served: map[string]bool{}}
	m.server = httptest.NewServer(m)
	t.Cleanup(m.server.Close)
	document, err := json.Marshal(map[string]any{"openapi": "3.0.3", "info": map[string]any{"title": "Echo", "version": "1"}, "paths": map[string]any{
		"/echo/Say": map[string]any{"post": map[string]any{
			"operationId": "Echo.Say",
			"requestBody": map[string]any{"content": map[string]any{"application/json": map[string]any{"schema": map[string]any{"type": "object"}}}},
			"responses":   map[string]any{"200": map[string]any{"description": "OK"}},
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	do[any](t, d.boss, "/publicapi/Publish", map[string]any{"api": map[string]any{
		"name": httpSeller, "display_name": "Echo", "description": "Answers.", "category": "testing", "open_api_json": string(document), "examples_json": "{}",
		"pricing": map[string]int64{"Echo.Say": price}, "target": m.server.URL,
	}})
	c := d.signUp(t)
	for _, door := range d.doors() {
		eventually(t, startLimit, "all that is on sale to be known at "+door.name, func() bool {
			for _, path := range []string{viaBus, viaStream, viaHTTP} {
				if a, err := c.as(c.Key).at(door).send(path, question); err != nil || a.status != http.StatusOK {
					return false
				}
			}
			return true
		})
	}
	return m
}

func (m *market) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	m.served[r.Header.Get("M3O-Request-Id")] = true
	m.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprint(w, `{"ok":true}`)
}

// hasServed says whether the HTTP server has answered a request.
func (m *market) hasServed(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.served[id]
}
