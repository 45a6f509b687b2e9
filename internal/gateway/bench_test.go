package gateway_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"m3o/internal/db/dbtest"
	"m3o/internal/money"
)

// BenchmarkMeteredCall is a paid call from admission to its answer, with its
// record, its counters and its charge following behind on SQLite.
func BenchmarkMeteredCall(b *testing.B) {
	s := newDoor(b, dbtest.SQLite(b))
	s.credit(1_000_000 * money.Dollar)
	key := s.key(nil)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := httptest.NewRequestWithContext(b.Context(), "POST", "/v1/demo/paid", strings.NewReader("{}"))
			r.Header.Set("Authorization", "Bearer "+key)
			if w := s.do(r); w.Code != 200 {
				b.Fatalf("%d %s", w.Code, w.Body)
			}
		}
	})
	s.records()
}
