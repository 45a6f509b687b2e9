package bus

import (
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// roster is who is there under which name: read without a lock, changed by
// copying. Its zero value is empty.
type roster[T comparable] struct {
	mu      sync.Mutex
	entries atomic.Pointer[map[string][]T]
}

// get lists who is there, the oldest first. The slice is not to be changed.
func (r *roster[T]) get(name string) []T {
	if entries := r.entries.Load(); entries != nil {
		return (*entries)[name]
	}
	return nil
}

// add puts entry under name until remove is called, once or more.
func (r *roster[T]) add(name string, entry T) (remove func()) {
	r.change(name, func(there []T) []T { return append(slices.Clone(there), entry) })
	return func() {
		r.change(name, func(there []T) []T {
			return slices.DeleteFunc(slices.Clone(there), func(other T) bool { return other == entry })
		})
	}
}

func (r *roster[T]) change(name string, to func([]T) []T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entries := map[string][]T{}
	if old := r.entries.Load(); old != nil {
		entries = maps.Clone(*old)
	}
	entries[name] = to(entries[name])
	r.entries.Store(&entries)
}

// gate counts who is inside and can be closed. Its zero value is open and empty.
type gate struct {
	inside atomic.Int64 // shut is added once the gate closes
	mu     sync.Mutex
	empty  chan struct{} // made by the first close
	once   sync.Once
}

// shut makes inside negative, whoever is inside.
const shut = math.MinInt64

// enter reports whether the gate is open. If so, leave must follow.
func (g *gate) enter() bool {
	if g.inside.Add(1) > 0 {
		return true
	}
	g.leave()
	return false
}

func (g *gate) leave() {
	if g.inside.Add(-1) == shut {
		g.once.Do(func() { close(g.empty) })
	}
}

// close lets nobody in any more and waits until all have left. It may be called twice.
func (g *gate) close() {
	g.mu.Lock()
	if g.empty == nil {
		g.empty = make(chan struct{})
		if g.inside.Add(shut) == shut {
			g.once.Do(func() { close(g.empty) })
		}
	}
	g.mu.Unlock()
	<-g.empty
}
