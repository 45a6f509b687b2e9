package gateway

import (
	"context"
	"sync"
	"time"
)

// defaultTimeout is the time budget of an endpoint that sets none.
const defaultTimeout = 10 * time.Second

// budget gives a call the time that its endpoint may take; a stream may take as long as it
// lasts.
func (s *Service) budget(ctx context.Context, e *endpoint) (context.Context, context.CancelFunc) {
	if e.Stream {
		return context.WithCancel(ctx)
	}
	return withLimit(ctx, s.now, e.timeout())
}

func (e *endpoint) timeout() time.Duration {
	if e.Timeout <= 0 {
		return defaultTimeout
	}
	return e.Timeout
}

// limited is a context that ends at a time, as that of context.WithDeadline does. Its
// timer begins when somebody waits for the end: most calls in process are answered before
// anybody does, and a timer is a twentieth of what such a call costs.
type limited struct {
	context.Context // the parent
	now             func() time.Time
	until           time.Time

	mu     sync.Mutex
	timed  context.Context // once somebody waits; nil: nobody does
	cancel context.CancelFunc
	over   bool // cancelled before anybody waited
}

// withLimit returns a context that ends after a time, and its cancel, which must be called.
func withLimit(parent context.Context, now func() time.Time, limit time.Duration) (context.Context, context.CancelFunc) {
	until := now().Add(limit)
	if sooner, ok := parent.Deadline(); ok && sooner.Before(until) {
		until = sooner
	}
	c := &limited{Context: parent, now: now, until: until}
	return c, c.end
}

// Deadline implements context.Context.
func (c *limited) Deadline() (time.Time, bool) { return c.until, true }

// Done implements context.Context.
func (c *limited) Done() <-chan struct{} { return c.wait().Done() }

// Err implements context.Context. When it is not nil the end is in force, as it must be.
func (c *limited) Err() error {
	c.mu.Lock()
	idle := c.timed == nil && !c.over
	c.mu.Unlock()
	if idle && c.Context.Err() == nil && c.now().Before(c.until) {
		return nil
	}
	return c.wait().Err()
}

// Value implements context.Context. What looks for the context that is cancelled finds
// the one with the timer, if there is one.
func (c *limited) Value(key any) any {
	c.mu.Lock()
	timed := c.timed
	c.mu.Unlock()
	if timed != nil {
		return timed.Value(key)
	}
	return c.Context.Value(key)
}

// wait is the context with the timer.
func (c *limited) wait() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.cancel = context.WithDeadline(c.Context, c.until)
		if c.over {
			c.cancel()
		}
	}
	return c.timed
}

func (c *limited) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over = true; c.cancel != nil {
		c.cancel()
	}
}
