package config_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"m3o/internal/config"
)

// thing is a service's configuration.
type thing struct {
	set   *config.Set
	limit *config.Value[int]
	name  *config.Value[string]
}

func newThing(source config.Source) thing {
	s := config.NewSet("thing", source)
	return thing{
		set:   s,
		limit: config.Add[int](s, config.Property{Name: "Limit", Default: "7", Rule: "int [1,9]"}),
		name:  config.Add[string](s, config.Property{Name: "FullName", Rule: "str ^[a-z]*$"}),
	}
}

func TestRefreshCallsBackOnceForWhatChanged(t *testing.T) {
	t.Parallel()
	th := newThing(nil)
	var calls []string
	callbacks := config.Callbacks{
		"Limit": func(context.Context) error {
			calls = append(calls, "Limit")
			if th.limit.Get() != 6 || th.name.Get() != "ada" {
				t.Errorf("called before all was set: %d, %s", th.limit.Get(), th.name.Get())
			}
			return errors.New("no")
		},
		"FullName": func(context.Context) error { calls = append(calls, "FullName"); return nil },
	}
	source := config.Map{"thing.Limit": "6", "thing.FullName": "ada"}
	if err := th.set.Refresh(t.Context(), source, silent(), callbacks); err == nil || !strings.Contains(err.Error(), "thing.Limit") {
		t.Errorf("got %v", err)
	}
	if err := th.set.Refresh(t.Context(), source, silent(), callbacks); err != nil {
		t.Errorf("without a change: %v", err)
	}
	if !slices.Equal(calls, []string{"Limit", "FullName"}) {
		t.Errorf("called %v", calls)
	}
	source["thing.FullName"] = "bob"
	if err := th.set.Refresh(t.Context(), source, silent(), nil); err != nil || th.name.Get() != "bob" {
		t.Errorf("without callbacks: %v", err)
	}
}

func TestRefreshLeavesTheOldValueInForceWhenTheNewOneIsInvalid(t *testing.T) {
	t.Parallel()
	th := newThing(config.Map{"thing.Limit": "5"})
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	if err := th.set.Refresh(t.Context(), config.Map{"thing.Limit": "500"}, log, nil); err != nil || th.limit.Get() != 5 {
		t.Errorf("got %d, %v", th.limit.Get(), err)
	}
	if !strings.Contains(logged.String(), "host=thing property=Limit") || strings.Count(logged.String(), "\n") != 1 {
		t.Errorf("logged %s", &logged)
	}
	if err := th.set.Refresh(t.Context(), config.Unset{}, log, nil); err != nil || th.limit.Get() != 7 {
		t.Errorf("when nothing is set, got %d, %v", th.limit.Get(), err)
	}
}

func TestEachChangeIsToldOnceHoweverManyRefresh(t *testing.T) {
	t.Parallel()
	th := newThing(nil)
	var calls atomic.Int64
	callbacks := config.Callbacks{"Limit": func(context.Context) error { calls.Add(1); return nil }}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { _ = th.set.Refresh(t.Context(), config.Map{"thing.Limit": "3"}, silent(), callbacks) })
	}
	all.Wait()
	if n := calls.Load(); n != 1 {
		t.Errorf("called %d times", n)
	}
}

func TestASetCollectsItsMistakes(t *testing.T) {
	t.Parallel()
	s := config.NewSet("thing", config.Map{"thing.Limit": "500", "thing.Size": "x"})
	config.Add[int](s, config.Property{Name: "Limit", Default: "7", Rule: "int [1,9]"})
	config.Add[int](s, config.Property{Name: "Size"})
	config.Add[string](s, config.Property{Name: "Color", Rule: "set Red|Green"})
	config.Add[bool](s, config.Property{Name: "Open", Rule: "bool"})
	if warnings := s.Warnings(); len(warnings) != 2 || !strings.Contains(warnings[0].Error(), "thing.Limit") || !strings.Contains(warnings[1].Error(), "thing.Size") {
		t.Errorf("warned of %v", warnings)
	}
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "thing.Color") || !strings.Contains(err.Error(), "thing.Open") {
		t.Errorf("got %v", err)
	}
}

func TestASetKnowsItsProperties(t *testing.T) {
	t.Parallel()
	s := newThing(nil).set
	if p, ok := s.Find("full-name"); !ok || p.Name != "FullName" || p.Host != s.Host() {
		t.Errorf("found %v", p)
	}
	if _, ok := s.Find("FullNames"); ok {
		t.Error("found what there is not")
	}
	if names := s.Properties(); len(names) != 2 || names[0].Name != "Limit" {
		t.Errorf("got %v", names)
	}
	if err := errors.Join(s.Check("limit", "9"), s.Check("fullname", "")); err != nil {
		t.Error(err)
	}
	if s.Check("limit", "10") == nil || s.Check("limits", "9") == nil {
		t.Error("allowed 10, or a property that there is not")
	}
}

// remote is a source that must be fetched from.
type remote struct {
	there, known config.Map
	down         error
}

func (r *remote) Lookup(host, property string) (string, bool) { return r.known.Lookup(host, property) }

func (r *remote) Fetch(context.Context, string) error {
	if r.down == nil {
		r.known = r.there
	}
	return r.down
}

func TestRefreshFetchesThroughLayers(t *testing.T) {
	t.Parallel()
	r := &remote{there: config.Map{"thing.Limit": "3"}}
	source := config.Layers(config.Map{"thing.Limit": "2", "thing.FullName": "ada"}, nil, r)
	th := newThing(source)
	if th.limit.Get() != 2 {
		t.Errorf("begins with %d", th.limit.Get())
	}
	if err := th.set.Refresh(t.Context(), source, silent(), nil); err != nil || th.limit.Get() != 3 || th.name.Get() != "ada" {
		t.Errorf("got %d, %v", th.limit.Get(), err)
	}
	r.down = errors.New("nobody serves configurator at the moment")
	r.there = config.Map{"thing.Limit": "4"}
	if err := th.set.Refresh(t.Context(), source, silent(), nil); err != nil || th.limit.Get() != 3 {
		t.Errorf("while it is down, got %d, %v", th.limit.Get(), err)
	}
}
