package orders_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/shop/orders/ordersapi"
	"m3o/internal/shop/products/productsapi"
)

// BenchmarkPlaceOrder has 16 clients order, from one product and from a hundred, while facts flow: what is sold was
// told to products by an event before the benchmark ends.
func BenchmarkPlaceOrder(b *testing.B) {
	for engine, open := range map[string]func(testing.TB) *db.DB{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		for _, n := range []int{1, 100} {
			b.Run(fmt.Sprintf("%s/products=%d", engine, n), func(b *testing.B) { benchmarkPlaceOrder(b, open(b), n) })
		}
	}
}

func benchmarkPlaceOrder(b *testing.B, d *db.DB, n int) {
	h := newHouse(b, d, nil)
	ids := make([]string, n)
	for i := range ids {
		ids[i] = h.sells(fmt.Sprint("product ", i), 3, productsapi.Max)
	}
	ctx := as(b.Context(), "usr_1")
	var next atomic.Int64
	times := make([][]time.Duration, 16)
	b.ResetTimer()
	var clients sync.WaitGroup
	for c := range times {
		clients.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				begun := time.Now()
				line := ordersapi.OrderLine{ProductID: ids[int(i)%n], Quantity: 1}
				if _, err := h.orders.PlaceOrder(ctx, []ordersapi.OrderLine{line}, ""); err != nil {
					b.Error(err)
					return
				}
				times[c] = append(times[c], time.Since(begun))
			}
		})
	}
	clients.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
	all := slices.Sorted(slices.Values(slices.Concat(times...)))
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	begun := time.Now()
	var open int64
	for open = -1; open != 0; time.Sleep(time.Millisecond) {
		if err := d.QueryRow(b.Context(), `SELECT COUNT(*) FROM products_reservations WHERE state = 'reserved'`).Scan(&open); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(time.Since(begun).Seconds()*1000, "lag-ms")
}
