// Package rpctest runs one test body against a service twice: called directly,
// and over the bus through its generated client and routes, with every mutating
// call delivered twice. A service that leans on shared pointers, unexported
// fields or single delivery fails here. Only tests import it.
package rpctest

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"m3o/internal/bus"
	"m3o/internal/rpc"
)

// Contract is what the generator made of a service: its routes and its client.
type Contract[S any] struct {
	Routes func(S) []rpc.Route
	Client func(bus.Bus) S
}

// Each runs body on the service that setup makes, as the subtests "direct" and
// "loopback". setup is called once for each.
func Each[S, B any](t *testing.T, contract Contract[S], setup func(t *testing.T) (S, B), body func(t *testing.T, s S, bundle B)) {
	t.Helper()
	t.Run("direct", func(t *testing.T) {
		t.Parallel()
		service, bundle := setup(t)
		body(t, service, bundle)
	})
	t.Run("loopback", func(t *testing.T) {
		t.Parallel()
		service, bundle := setup(t)
		body(t, Loopback(t, contract, service), bundle)
	})
}

// Loopback is a client of the service over a bus of its own that delivers each
// mutating call twice.
func Loopback[S any](t *testing.T, contract Contract[S], service S) S {
	t.Helper()
	b := bus.NewMemory(bus.MemoryConfig{Logger: slog.New(slog.DiscardHandler)})
	routes := contract.Routes(service)
	for i := range routes {
		if routes[i].Mutates() {
			routes[i].Handler = twice(t, routes[i])
		}
	}
	t.Cleanup(rpc.Register(b, rpc.Replica{Host: routes[0].Host, ID: "rep_loopback"}, routes))
	return contract.Client(b)
}

// twice delivers each request two times and answers with the second answer,
// which must say the same as the first.
func twice(t *testing.T, route rpc.Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read the request: %v", err)
		}
		deliver := func() *httptest.ResponseRecorder {
			again := r.Clone(r.Context())
			again.Body = io.NopCloser(bytes.NewReader(body))
			recorder := httptest.NewRecorder()
			route.Handler.ServeHTTP(recorder, again)
			return recorder
		}
		first, second := deliver(), deliver()
		if first.Code < 400 && (second.Code != first.Code || second.Body.String() != first.Body.String()) {
			t.Errorf("%s.%s delivered twice answers %d %s, then %d %s", route.Host, route.Name, first.Code, first.Body, second.Code, second.Body)
		}
		for name, values := range second.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(second.Code)
		_, _ = w.Write(second.Body.Bytes())
	})
}
