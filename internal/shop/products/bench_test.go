package products_test

import (
	"fmt"
	"runtime"
	"testing"

	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/id"
	"m3o/internal/shop/products/productsapi"
)

// BenchmarkReserve has 16 callers reserve, one product that all want and a hundred.
func BenchmarkReserve(b *testing.B) {
	for engine, open := range map[string]func(testing.TB) *db.DB{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		for _, n := range []int{1, 100} {
			b.Run(fmt.Sprintf("%s/products=%d", engine, n), func(b *testing.B) {
				h := newHouse(b, open(b))
				ids := make([]string, n)
				for i := range ids {
					ids[i] = sells(b, h.products, fmt.Sprint("product ", i), 3, productsapi.Max)
				}
				b.SetParallelism(16 / runtime.GOMAXPROCS(0))
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for i := 0; pb.Next(); i++ {
						if _, err := h.products.Reserve(b.Context(), id.New("ord"), "usr_1", []productsapi.ReserveLine{line(ids[i%n], 1)}); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}
