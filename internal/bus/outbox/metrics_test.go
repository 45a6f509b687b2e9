package outbox_test

import (
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/bus"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
)

// gauges are what a scraper is given: values by name and label.
func gauges(t *testing.T, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			all[strings.TrimPrefix(f.GetName(), "m3o_")+" "+m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
	}
	return all
}

// scrape looks at an outbox for the first time.
func (h *house) scrape(t *testing.T, groups ...string) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(h.outbox.Backlog(groups...))
	return gauges(t, r)
}

func TestBacklog(t *testing.T) {
	t.Parallel()
	t.Run("IsWhatWaitsForTheRelaysOfThisProcess", func(t *testing.T) {
		t.Parallel()
		dbtest.Each(t, func(t *testing.T, d *db.DB) {
			h := setup(t, d)
			if got := h.scrape(t); len(got) != 0 {
				t.Errorf("without a relay there is %v", got)
			}
			h.outbox.Relay(h.bus, "customers")
			h.outbox.Relay(h.bus, "keys")
			h.add("a", "x")
			h.add("b", "x")
			h.ahead.Store(int64(90 * time.Second))
			got := h.scrape(t)
			if age := got["outbox_oldest_seconds customers"]; age < 90 || age > 90+patience.Seconds() {
				t.Errorf("the oldest has waited for %v s, want 90", age)
			}
			delete(got, "outbox_oldest_seconds customers")
			want := map[string]float64{"outbox_waiting customers": 2, "outbox_waiting keys": 0, "outbox_oldest_seconds keys": 0}
			if !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			h.relay()
			h.allPublished()
			if got := h.scrape(t); got["outbox_waiting customers"] != 0 || got["outbox_oldest_seconds customers"] != 0 {
				t.Errorf("when all is published there is %v", got)
			}
		})
	})
	t.Run("CountsNoMoreThanItMay", func(t *testing.T) {
		t.Parallel()
		h := setup(t, dbtest.SQLite(t))
		h.outbox.Relay(h.bus, "customers")
		h.add("a", "x")
		h.exec(`
			INSERT INTO outbox (id, event_id, seq, source, topic, type, type_name, key, part, only_group, data, created_at)
			WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10100)
			SELECT id || i, event_id, seq + i, source, topic, type, type_name, key, part, only_group, data, created_at FROM outbox, n`)
		if got := h.scrape(t)["outbox_waiting customers"]; got != 10_000 {
			t.Errorf("it counts %v", got)
		}
	})
	t.Run("HasDeadLettersUntilTheyAreReplayed", func(t *testing.T) {
		t.Parallel()
		dbtest.Each(t, func(t *testing.T, d *db.DB) {
			h := setup(t, d)
			var mended atomic.Bool
			h.subscribe("ill", func(bus.Event) error {
				if mended.Load() {
					return nil
				}
				return bus.Drop(errHandler)
			})
			h.subscribe("well", ack)
			h.relay()
			h.add("a", "x")
			h.allPublished()
			if got := h.scrape(t, "ill", "well"); got["dead_letters ill"] != 1 || got["dead_letters well"] != 0 {
				t.Errorf("got %v, want one letter of the ill", got)
			}
			if got := h.scrape(t, "well"); len(got) != 3 {
				t.Errorf("a process without the ill group tells %v", got)
			}
			mended.Store(true)
			if err := h.outbox.Replay(t.Context(), h.letter().ID); err != nil {
				t.Fatal(err)
			}
			if got := h.scrape(t, "ill")["dead_letters ill"]; got != 0 {
				t.Errorf("after the replay there are %v", got)
			}
		})
	})
	t.Run("LooksOnceInAWhile", func(t *testing.T) {
		t.Parallel()
		h := setup(t, dbtest.SQLite(t))
		h.outbox.Relay(h.bus, "customers")
		r := prometheus.NewPedanticRegistry()
		r.MustRegister(h.outbox.Backlog())
		gauges(t, r)
		h.add("a", "x")
		if got := gauges(t, r); got["outbox_waiting customers"] != 0 {
			t.Errorf("it has looked again at once: %v", got)
		}
		h.ahead.Store(int64(time.Minute))
		if got := gauges(t, r); got["outbox_waiting customers"] != 1 {
			t.Errorf("a minute later there is %v", got)
		}
	})
	t.Run("IsAbsentWhileTheDatabaseIsAway", func(t *testing.T) {
		t.Parallel()
		h := setup(t, dbtest.SQLite(t))
		h.outbox.Relay(h.bus, "customers")
		if err := h.db.Close(); err != nil {
			t.Fatal(err)
		}
		if got := h.scrape(t, "g"); len(got) != 0 {
			t.Errorf("got %v", got)
		}
		if warned := receive(t, h.warned); !strings.Contains(warned, "cannot be counted") {
			t.Error(warned)
		}
	})
}
