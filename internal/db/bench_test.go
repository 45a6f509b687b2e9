package db_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"m3o/internal/db"
	"m3o/internal/db/dbtest"
)

// BenchmarkDebit has 16 writers debit one account and note it, durably, each in Tx or all in Batch.
func BenchmarkDebit(b *testing.B) {
	for _, engine := range []struct {
		name string
		open func(testing.TB) *db.DB
	}{{"sqlite", dbtest.SQLite}, {"postgres", dbtest.Postgres}} {
		for _, way := range []struct {
			name string
			of   func(*db.DB) txFunc
		}{
			{"Tx", func(d *db.DB) txFunc { return d.Tx }},
			{"Batch", func(d *db.DB) txFunc { return d.Batch }},
		} {
			for _, writers := range []int{1, 16} {
				b.Run(fmt.Sprintf("%s/%s/writers=%d", engine.name, way.name, writers), func(b *testing.B) {
					d := engine.open(b)
					accounts(b, d)
					exec(b, d, `UPDATE accounts SET balance = $1 WHERE id = 'a'`, int64(1)<<60)
					b.ResetTimer()
					debits(b, way.of(d), writers)
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "debits/s")
				})
			}
		}
	}
}

func debits(b *testing.B, run txFunc, writers int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				err := run(b.Context(), func(tx *db.Tx) error {
					_, err := guardedDebit(b.Context(), tx, fmt.Sprint(i), 1)
					return err
				})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
