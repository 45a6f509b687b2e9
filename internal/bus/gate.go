package bus

import (
	"math"
	"sync"
	"sync/atomic"
)

// gate counts who is inside and can be closed. Its zero value is open and empty.
type gate struct {
	inside atomic.Int64 // closed is added once the gate closes
	mu     sync.Mutex
	empty  chan struct{} // made by the first close
	once   sync.Once
}

// closed makes inside negative, whoever is inside.
const closed = math.MinInt64

// enter reports whether the gate is open. If so, leave must follow.
func (g *gate) enter() bool {
	if g.inside.Add(1) > 0 {
		return true
	}
	g.leave()
	return false
}

func (g *gate) leave() {
	if g.inside.Add(-1) == closed {
		g.once.Do(func() { close(g.empty) })
	}
}

// close lets nobody in any more and waits until all have left. It may be called twice.
func (g *gate) close() { <-g.shut() }

// shut lets nobody in any more and does not wait: the channel is closed when all have left.
func (g *gate) shut() (empty <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.empty == nil {
		g.empty = make(chan struct{})
		if g.inside.Add(closed) == closed {
			g.once.Do(func() { close(g.empty) })
		}
	}
	return g.empty
}
