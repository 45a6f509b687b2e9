package throttle_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/db/throttle"
)

// On SQLite transactions follow one another anyway.
func TestAThrottleLooksAtTheClockOnlyWhenItHasTheRow(t *testing.T) {
	t.Parallel()
	d := dbtest.Postgres(t)
	shared := throttle.Allowance{ID: "test", Window: time.Hour, Count: 2}
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	var leaving atomic.Bool
	second := make(chan error, 1)
	err := d.Tx(t.Context(), func(tx *db.Tx) error {
		if err := shared.Take(t.Context(), tx, func() time.Time { return start }); err != nil {
			return err
		}
		go func() {
			second <- throttle.Allowances{shared}.Take(t.Context(), d, func() time.Time {
				if !leaving.Load() {
					t.Error("the second looked at the clock while the first had the row")
				}
				return start
			})
		}()
		awaitLock(t, d)
		leaving.Store(true)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-second; err != nil {
		t.Errorf("the second of two: %v", err)
	}
}

// awaitLock returns when somebody waits for a lock in this database.
func awaitLock(t *testing.T, d *db.DB) {
	t.Helper()
	const query = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
	for end := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		var waiting int
		if err := d.QueryRow(t.Context(), query).Scan(&waiting); err != nil || time.Now().After(end) {
			t.Errorf("nobody waits: %v", err)
			return
		}
		if waiting > 0 {
			return
		}
	}
}
