package model

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"m3o/test/model/knobs"
)

// metrics shows what the metrics of a service say, each with the labels of its replica.
func (s suite) metrics(t *testing.T) {
	s.check(t, "R76/ACounterAddsUp", func(t *testing.T, _ *plane) {
		k, read := metered(t)
		fine(t, k.IncrementLikes(2, "a"), k.IncrementLikes(2, "a"), k.IncrementLikes(0, "a"), k.IncrementLikes(1, "b"))
		read(`knobs_likes{%s,post="a"} 4`, `knobs_likes{%s,post="b"} 1`)
		if k.IncrementLikes(-1, "a") == nil {
			t.Error("a counter may fall")
		}
		read(`knobs_likes{%s,post="a"} 4`)
	})
	s.check(t, "R77/AHistogramCountsInBuckets", func(t *testing.T, _ *plane) {
		k, read := metered(t)
		for _, n := range []int{0, 3} {
			fine(t, k.ObserveSize(n))
		}
		read(`knobs_size_bucket{%s,le="1"} 1`, `knobs_size_bucket{%s,le="2"} 1`, `knobs_size_bucket{%s,le="5"} 2`, `knobs_size_bucket{%s,le="+Inf"} 2`,
			`knobs_size_sum{%s} 3`, `knobs_size_count{%s} 2`)
		fine(t, k.ObserveTook(500*time.Millisecond))
		read(`knobs_took_bucket{%s,le="0.1"} 0`, `knobs_took_bucket{%s,le="1"} 1`, `knobs_took_sum{%s} 0.5`)
	})
	s.check(t, "R78/AGaugeIsSetAndMoved", func(t *testing.T, _ *plane) {
		k, read := metered(t)
		fine(t, k.ObserveMemoryBytes(5), k.IncrementMemoryBytes(2), k.IncrementMemoryBytes(-4))
		read(`knobs_memory_bytes{%s} 3`)
		fine(t, k.ObserveDelay(1500*time.Millisecond, "x"))
		read(`knobs_delay{%s,name="x"} 1.5`)
	})
	s.check(t, "R78/LabelsOfAnyTypeAndAnAlias", func(t *testing.T, _ *plane) {
		k, read := metered(t)
		fine(t, k.IncrementDistanceMiles(0.5, 49, true), k.IncrementDistanceMiles(1, 49, true))
		read(`app_miles_total{country_code="49",far="true",%s} 1.5`)
	})
	s.check(t, "R78/ReplicasOfOneProcessAreToldApart", func(t *testing.T, _ *plane) {
		registry := prometheus.NewRegistry()
		for range 2 {
			k := must(knobs.New(knobs.Deps{Metrics: registry}))(t)
			fine(t, k.IncrementLikes(1, "a"))
		}
		if text := exposition(registry); strings.Count(text, "\nknobs_likes{") != 2 {
			t.Error(text)
		}
	})
}

// metered is a replica of knobs and a check of the lines that its metrics have; %s
// stands for the labels of the replica.
func metered(t *testing.T) (*knobs.Service, func(want ...string)) {
	t.Helper()
	registry := prometheus.NewRegistry()
	k := must(knobs.New(knobs.Deps{Metrics: registry}))(t)
	replica := k.Replica()
	return k, func(want ...string) {
		t.Helper()
		text := exposition(registry)
		for _, line := range want {
			if !hasLine(text, fmt.Sprintf(line, fmt.Sprintf(`id=%q,service=%q,ver=%q`, replica.ID, replica.Host, replica.Version))) {
				t.Errorf("there is no %s in\n%s", line, text)
			}
		}
	}
}

// hasLine says whether a text has a line with the same labels, in whatever order.
func hasLine(text, want string) bool {
	for line := range strings.Lines(text) {
		if sorted(strings.TrimSpace(line)) == sorted(want) {
			return true
		}
	}
	return false
}

// sorted is a line of metrics with its labels in order.
func sorted(line string) string {
	name, rest, _ := strings.Cut(line, "{")
	labels, value, _ := strings.Cut(rest, "}")
	all := strings.Split(labels, ",")
	slices.Sort(all)
	return name + "{" + strings.Join(all, ",") + "}" + value
}

// exposition is what a registry shows to whoever collects.
func exposition(registry *prometheus.Registry) string {
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

func fine(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
}
