package limit

import (
	"log/slog"
	"testing"
	"time"
)

// BenchmarkAdmit is both limits of a call in this process.
func BenchmarkAdmit(b *testing.B) {
	var tier, key Pace
	now := time.Now().UnixNano()
	b.ReportAllocs()
	for i := range b.N {
		Admit(now+int64(i)*1000, &tier, 1_000_000, &key, 500_000)
	}
}

// BenchmarkFast spends from budgets of two limits that are leased from Redis meanwhile.
func BenchmarkFast(b *testing.B) {
	c := benched(b, Fast, 1_000_000_000, 900_000_000)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.take(time.Now()); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkStrict asks Redis for each call: one caller, and many that share round trips.
func BenchmarkStrict(b *testing.B) {
	c := benched(b, Strict, 1_000_000_000, 900_000_000)
	b.Run("one", func(b *testing.B) {
		for range b.N {
			if _, err := c.take(time.Now()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("many", func(b *testing.B) {
		b.SetParallelism(50)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := c.take(time.Now()); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// BenchmarkPing is what a round trip to Redis costs: one caller, and many.
func BenchmarkPing(b *testing.B) {
	client := connect(b, realRedis(b))
	b.Run("one", func(b *testing.B) {
		for range b.N {
			if err := client.Ping(b.Context()).Err(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("many", func(b *testing.B) {
		b.SetParallelism(50)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := client.Ping(b.Context()).Err(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// benched is a caller of one gateway on the real Redis.
func benched(b *testing.B, mode Mode, tier, key int) *caller {
	b.Helper()
	url := realRedis(b)
	name := prefix(b, connect(b, url))
	c := callersOf(fleet(b, 1, url, func(c *Config) {
		c.Prefix, c.Mode, c.Log = name, mode, slog.New(slog.DiscardHandler)
	}), tier, key)[0]
	if mode == Fast {
		c.warm(b, time.Now)
	}
	b.ReportAllocs()
	b.ResetTimer()
	return c
}
