package usage_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/billing/billingapi/billingapifakes"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/id"
	"m3o/internal/usage"
	"m3o/internal/usage/usageapi"
)

// BenchmarkRecord records calls in batches of 500, as a busy gateway does; the
// time is for one call.
func BenchmarkRecord(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *db.DB{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			d := open(b)
			log := slog.New(slog.DiscardHandler)
			s, err := usage.New(usage.Deps{
				DB: d, Bus: bus.NewMemory(bus.MemoryConfig{Logger: log}), Outbox: outbox.New(d, time.Now, log), Config: config.Unset{},
				Metrics: prometheus.NewRegistry(), Log: log, Now: time.Now, Billing: &billingapifakes.FakeService{},
			})
			if err != nil {
				b.Fatal(err)
			}
			const batch = 500
			b.ResetTimer()
			for n := 0; n < b.N; n += batch {
				calls := make([]usageapi.Call, batch)
				for i := range calls {
					calls[i] = usageapi.Call{
						RequestID: id.New("req"), CustomerID: fmt.Sprint("cus_", i%10), KeyID: "key_1", Service: "demo", Endpoint: "Demo.Paid",
						Status: 200, Price: 10, Time: time.Now(), Lease: fmt.Sprint("lse_", i%10),
					}
				}
				if refused, err := s.Record(b.Context(), calls); err != nil || len(refused) > 0 {
					b.Fatal(refused, err)
				}
			}
		})
	}
}
