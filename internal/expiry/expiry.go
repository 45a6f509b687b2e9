// Package expiry ends contexts after a time, as context.WithTimeout does, without a timer
// until somebody waits for the end: most calls are answered before anybody does, and a timer
// is a twentieth of what a call in process costs. It imports nothing of ours.
package expiry

import (
	"context"
	"sync"
	"time"
)

// Context ends after a time, with its parent, or when End is called. It is ready after
// Begin, and End must follow, which may come first.
type Context struct {
	parent context.Context
	until  time.Time // zero: no limit

	mu     sync.Mutex
	over   bool
	whole  context.Context // that of package context which it becomes; nil: nobody has waited
	cancel context.CancelFunc
}

var _ context.Context = (*Context)(nil)

// With returns a context that ends after limit at the latest.
func With(parent context.Context, limit time.Duration) *Context {
	c := &Context{}
	c.Begin(parent, limit)
	return c
}

// Begin gives the context a parent and a limit, 0 for none of its own.
func (c *Context) Begin(parent context.Context, limit time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parent = parent
	if limit != 0 {
		c.until = time.Now().Add(limit)
	}
	if sooner, bounded := parent.Deadline(); bounded && (limit == 0 || sooner.Before(c.until)) {
		c.until = sooner
	}
}

// End ends the context. It may be called twice.
func (c *Context) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.cancel != nil {
		c.cancel()
	}
}

// Deadline implements context.Context.
func (c *Context) Deadline() (until time.Time, bounded bool) { return c.until, !c.until.IsZero() }

// Done implements context.Context.
func (c *Context) Done() <-chan struct{} { return c.wait().Done() }

// Err implements context.Context.
func (c *Context) Err() error {
	if c.stands() {
		return nil
	}
	return c.wait().Err()
}

// Value implements context.Context. Package context asks by it for the context that ends,
// and needs no goroutine then to end the ones that are made of it.
func (c *Context) Value(key any) any {
	c.mu.Lock()
	values := c.parent
	if c.whole != nil {
		values = c.whole
	}
	c.mu.Unlock()
	return values.Value(key)
}

// stands says whether nobody waits for the end, which has not come.
func (c *Context) stands() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.whole == nil && !c.over && c.parent.Err() == nil && (c.until.IsZero() || time.Now().Before(c.until))
}

// wait is the context that ends at the right time.
func (c *Context) wait() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.whole != nil:
		return c.whole
	case c.until.IsZero():
		c.whole, c.cancel = context.WithCancel(c.parent)
	default:
		c.whole, c.cancel = context.WithDeadline(c.parent, c.until)
	}
	if c.over {
		c.cancel()
	}
	return c.whole
}
