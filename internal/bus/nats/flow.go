package natsbus

import (
	"context"
	"sync"
)

// window is how many bytes of a body may be on their way until the other side has taken
// some: a reader that stands still holds its writer, and nobody's memory.
const window = 1 << 20

// cost is what a piece of a body takes of the window: small ones take memory, too.
func cost(data []byte) int { return len(data) + 64 }

// allowance is how much may still be sent.
type allowance struct {
	mu   sync.Mutex
	left int
	more chan struct{} // closed when left has become more; nil: nobody waits
}

// take waits until something may be sent, and then takes n of it, which may be more than
// there is. One goroutine at a time may wait.
func (a *allowance) take(ctx context.Context, n int) error {
	for {
		more := a.tryTake(n)
		if more == nil {
			return ctx.Err()
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tryTake takes n, or returns what is closed when it may be tried again.
func (a *allowance) tryTake(n int) (more <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left > 0 {
		a.left -= n
		return nil
	}
	if a.more == nil {
		a.more = make(chan struct{})
	}
	return a.more
}

func (a *allowance) add(n uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left += int(min(n, window))
	if a.more != nil {
		close(a.more)
		a.more = nil
	}
}

// inbox is what came for one goroutine, which takes it in the order in which it came.
type inbox[T any] struct {
	some chan struct{} // holds one when there is something to take; nil: not open

	mu  sync.Mutex
	all []T
}

// open must come before what is to be taken. It is a step of its own because most requests
// bring all of their body, and need no inbox for the rest.
func (b *inbox[T]) open() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.some = make(chan struct{}, 1)
}

// put drops what comes before the inbox is open: nobody has asked for it.
func (b *inbox[T]) put(one T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.some == nil {
		return
	}
	b.all = append(b.all, one)
	wake(b.some)
}

func (b *inbox[T]) take() []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.all
	b.all = nil
	return all
}

// wake lets whoever waits look again. It does not wait.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it has been told and not looked yet
	}
}

// credits counts what was taken of a body, and says when to let more come.
type credits struct{ taken int }

// took is how much to allow now; 0: nothing yet.
func (c *credits) took(data []byte) uint64 {
	if c.taken += cost(data); c.taken < window/4 {
		return 0
	}
	n := c.taken
	c.taken = 0
	return uint64(n)
}
