package app

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/db/idempotency"
	"m3o/internal/hosting"
)

func TestAnswersAreSweptEveryHourUnderALease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := dbtest.SQLite(t)
		for key, age := range map[string]time.Duration{"old": idempotency.Kept - 30*time.Minute, "fresh": time.Hour} {
			answer(t, d, key, time.Now().Add(-age))
		}
		a := &App{db: d, house: &house{}, config: Config{Now: time.Now, Log: discard()}}
		services := a.services()
		if err := services.Start(t.Context(), []hosting.Service{sweeper{app: a}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Minute)
		if n := rows(t, d, `SELECT count(*) FROM idempotency`); n != 2 {
			t.Errorf("%d answers before the hour, want 2", n)
		}
		time.Sleep(2 * time.Minute)
		if err := services.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if n := rows(t, d, `SELECT count(*) FROM idempotency`); n != 1 {
			t.Errorf("%d answers after the hour, want the fresh one", n)
		}
		if n := rows(t, d, `SELECT count(*) FROM leases WHERE name = 'ticker:app.SweepAnswers'`); n != 1 {
			t.Errorf("%d leases, want one", n)
		}
	})
}

// answer stores an idempotent answer as a call at that time does.
func answer(t *testing.T, d *db.DB, key string, at time.Time) {
	t.Helper()
	ctx := idempotency.With(t.Context(), idempotency.Request{
		Key: key, Scope: "test", Answers: reflect.TypeFor[string](), Now: func() time.Time { return at },
	})
	if _, err := idempotency.Tx(ctx, d, func(*db.Tx) (string, error) { return "done", nil }); err != nil {
		t.Fatal(err)
	}
}

func rows(t *testing.T, d *db.DB, query string) (n int) {
	t.Helper()
	if err := d.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
