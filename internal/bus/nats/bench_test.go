package natsbus_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"m3o/internal/bus"
	natsbus "m3o/internal/bus/nats"
	"m3o/internal/bus/nats/natstest"
)

// BenchmarkRequest is a small request to another process, and the small answer.
func BenchmarkRequest(b *testing.B) {
	url := natstest.Start(b).URL
	c := natsbus.Config{URL: url, Prefix: natstest.Prefix(b, url)}
	caller, home := open(b, c), open(b, c)
	b.Cleanup(home.Serve("r1", bus.Endpoint{Host: "one.test", Port: 443, Method: bus.Any, Path: "/", Queue: "one.test",
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("yes")) })}))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodPost, "https://one.test/", strings.NewReader(`{"name":"John"}`))
			if caller.Handler("one.test").ServeHTTP(w, r); w.Code != http.StatusOK {
				b.Error(w.Code, w.Body)
				return
			}
		}
	})
}
