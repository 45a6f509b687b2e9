package natsbus

import (
	"context"
	"sync"
	"time"
)

// ending is the context of a handler. It ends as one of context.WithDeadline does, which it
// becomes when somebody waits for its end: most handlers have answered before anybody does,
// and cost no timer.
type ending struct {
	values context.Context // what travels, and the life of the bus
	until  time.Time       // zero: no limit

	mu     sync.Mutex
	over   bool
	whole  context.Context // nil: nobody has waited
	cancel context.CancelFunc
}

var _ context.Context = (*ending)(nil)

// begin says what the context is made of. It may be over already.
func (e *ending) begin(values context.Context, budget time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.values = values
	if budget > 0 {
		e.until = time.Now().Add(budget)
	}
}

// end ends the context. It may be called twice, and before begin.
func (e *ending) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = true
	if e.cancel != nil {
		e.cancel()
	}
}

// Deadline implements context.Context.
func (e *ending) Deadline() (until time.Time, bounded bool) { return e.until, !e.until.IsZero() }

// Done implements context.Context.
func (e *ending) Done() <-chan struct{} { return e.wait().Done() }

// Err implements context.Context.
func (e *ending) Err() error {
	if e.stands() {
		return nil
	}
	return e.wait().Err()
}

// Value implements context.Context. Package context asks by it for the context that ends,
// and needs no goroutine then to end the ones that are made of it.
func (e *ending) Value(key any) any {
	e.mu.Lock()
	values := e.values
	if e.whole != nil {
		values = e.whole
	}
	e.mu.Unlock()
	return values.Value(key)
}

// stands says whether nobody waits for the end, which has not come.
func (e *ending) stands() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.whole == nil && !e.over && e.values.Err() == nil && (e.until.IsZero() || time.Now().Before(e.until))
}

// wait is the context that ends at the right time.
func (e *ending) wait() context.Context {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.whole != nil:
		return e.whole
	case e.until.IsZero():
		e.whole, e.cancel = context.WithCancel(e.values)
	default:
		e.whole, e.cancel = context.WithDeadline(e.values, e.until)
	}
	if e.over {
		e.cancel()
	}
	return e.whole
}
