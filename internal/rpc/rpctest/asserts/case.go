package asserts

import (
	"strings"
	"testing"
	"time"

	"m3o/internal/fault"
)

// Case is one call of a handler, and what came of it.
type Case[Out any] struct {
	t    testing.TB
	name string
	out  Out
	err  error
	took time.Duration
}

// Call calls a handler; name is what failures call it.
func Call[Out any](t testing.TB, name string, call func() (Out, error)) *Case[Out] {
	t.Helper()
	began := time.Now()
	out, err := call()
	return &Case[Out]{t: t, name: name, out: out, err: err, took: time.Since(began)}
}

// Expect wants no error and these results.
func (c *Case[Out]) Expect(want Out) *Case[Out] {
	c.t.Helper()
	if c.NoError(); c.err == nil {
		if d := diff(want, c.out); d != "" {
			c.t.Errorf("%s answers something else (-want +have):\n%s", c.name, d)
		}
	}
	return c
}

// NoError wants no error.
func (c *Case[Out]) NoError() *Case[Out] {
	c.t.Helper()
	if c.err != nil {
		c.t.Errorf("%s: %v", c.name, c.err)
	}
	return c
}

// Error wants an error whose text contains this.
func (c *Case[Out]) Error(substring string) *Case[Out] {
	c.t.Helper()
	if c.err == nil || !strings.Contains(c.err.Error(), substring) {
		c.t.Errorf("%s: want an error that says %q, not %v", c.name, substring, c.err)
	}
	return c
}

// ErrorCode wants a fault of this code.
func (c *Case[Out]) ErrorCode(code fault.Code) *Case[Out] {
	c.t.Helper()
	if !fault.Is(c.err, code) {
		c.t.Errorf("%s: want %s, not %v", c.name, code, c.err)
	}
	return c
}

// CompletedIn wants the call to have taken no longer than this.
func (c *Case[Out]) CompletedIn(limit time.Duration) *Case[Out] {
	c.t.Helper()
	if c.took > limit {
		c.t.Errorf("%s took %s, which is longer than %s", c.name, c.took, limit)
	}
	return c
}

// Assert gives what came of the call to a check of one's own.
func (c *Case[Out]) Assert(check func(t testing.TB, out Out, err error)) *Case[Out] {
	c.t.Helper()
	check(c.t, c.out, c.err)
	return c
}

// Get returns what came of the call.
func (c *Case[Out]) Get() (Out, error) { return c.out, c.err }
