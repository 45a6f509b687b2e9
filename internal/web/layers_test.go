package web_test

import (
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/bus"
	"m3o/internal/web"
)

// steps is what has happened, in order.
type steps struct {
	mu   sync.Mutex
	list []string
}

func (s *steps) add(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, name)
}

// take is what has happened since the last time.
func (s *steps) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.Join(s.list, " ")
	s.list = nil
	return text
}

// noting is a layer that notes when it is run, and whether the request has its id and
// still its forged header then.
func noting(s *steps, name string) web.Layer {
	return web.Layer{Name: name, Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			state := "+"
			if r.Header.Get("M3O-Call-Depth") != "" {
				state = "-"
			}
			s.add(name + state)
			next.ServeHTTP(w, r)
			s.add("/" + name)
		})
	}}
}

// TestInsertedLayersRunWhereTheyWerePut is check R86.
func TestInsertedLayersRunWhereTheyWerePut(t *testing.T) {
	t.Parallel()
	ran := &steps{}
	e := setup(t, all(
		answering("/x", func(http.ResponseWriter, *http.Request) { ran.add("handler") }),
		func(c *web.Config) {
			c.Insertions = []web.Insertion{
				{Layer: noting(ran, "before1"), Before: web.LayerHeaders, Prefix: "/sample"},
				{Layer: noting(ran, "before2"), Before: web.LayerHeaders, Prefix: "/sample/"},
				{Layer: noting(ran, "after1"), After: web.LayerHeaders, Prefix: "/sample/x"},
				{Layer: noting(ran, "inner"), After: "after1"},
				{Layer: noting(ran, "after2"), After: web.LayerHeaders, Prefix: "/sample"},
				{Layer: noting(ran, "first"), Before: web.LayerObserve, Prefix: "/sample"},
				{Layer: noting(ran, "last"), After: web.LayerCompress, Prefix: "/sample"},
			}
		}))
	for _, path := range []string{"/sample/x", "/SAM-PLE/X", "/sample:443/x", "/sample%2Fx"} {
		e.do("POST", path, "", "M3O-Call-Depth: 1")
		if got := ran.take(); got != "first- before1- before2- after1+ inner+ after2+ last+ handler /last /after2 /inner /after1 /before2 /before1 /first" {
			t.Errorf("%s: %s", path, got)
		}
	}
	e.do("POST", "/sample/open", "{}")
	if got := ran.take(); got != "first+ before1+ before2+ inner+ after2+ last+ /last /after2 /inner /before2 /before1 /first" {
		t.Errorf("beside the prefix: %s", got)
	}
	for _, path := range []string{"/", "/samplex", "/signup/user", "/v1/a/b"} {
		e.do("POST", path, "{}")
		if got := ran.take(); got != "inner+ /inner" {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestInsertionsThatFitNowhereAreRefusedAtStart(t *testing.T) {
	t.Parallel()
	layer := noting(&steps{}, "mine")
	for want, in := range map[string]web.Insertion{
		`no layer "nowhere" to stand next to: there are observe, headers, cors, body, budget, compress`: {Layer: layer, Before: "nowhere"},
		"one of Before and After":       {Layer: layer},
		"set one of Before and After":   {Layer: layer, Before: web.LayerBody, After: web.LayerBody},
		"needs a Name and a Wrap":       {Layer: web.Layer{Name: "mine"}, After: web.LayerBody},
		"there is a layer of that name": {Layer: noting(&steps{}, web.LayerCORS), After: web.LayerBody},
		`"sample" is no prefix`:         {Layer: layer, After: web.LayerBody, Prefix: "sample"},
		`"/sample:443" is no prefix`:    {Layer: layer, After: web.LayerBody, Prefix: "/sample:443"},
	} {
		_, err := web.NewHandler(web.Config{
			Bus: bus.NewMemory(bus.MemoryConfig{}), Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler), Insertions: []web.Insertion{in},
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
