package upstream

import (
	"bufio"
	"context"
	"slices"
	"sync"
	"time"
)

// pool are the connections to one server: a bounded number, of which the one used last
// is used next, so that those too many grow old. No connection has a goroutine; one
// timer closes what is old.
type pool struct {
	limits  Limits
	now     func() time.Time
	open    func(ctx context.Context) (*conn, error)
	readers sync.Pool // of *bufio.Reader, which idle connections have none of

	mu      sync.Mutex
	idle    []*conn // used last at the end
	places  int     // taken, by connections idle or used or about to be opened
	waiting []chan *conn
	closed  bool
	reaper  *time.Timer // nil: nothing is idle
}

func newPool(limits Limits, now func() time.Time, open func(context.Context) (*conn, error)) *pool {
	p := &pool{limits: limits, now: now, open: open}
	p.readers.New = func() any { return bufio.NewReaderSize(nil, readSize) }
	return p
}

// get is a connection to use: one that waits, or a new one; only a new one when fresh.
// It goes back by put or drop. At the limit it waits for a connection or a place.
func (p *pool) get(ctx context.Context, fresh bool) (*conn, error) {
	for {
		c, err := p.take(ctx, fresh)
		switch {
		case err != nil:
			return nil, err
		case c == nil:
			return p.dial(ctx)
		case fresh:
			_ = c.raw.Close()
			return p.dial(ctx) // in its place
		case c.isAlive():
			c.used = true
			c.attach(p.readers.Get().(*bufio.Reader))
			return c, nil
		}
		p.drop(c)
	}
}

// dial opens a connection in a place that is taken already.
func (p *pool) dial(ctx context.Context) (*conn, error) {
	c, err := p.open(ctx)
	if err != nil {
		p.vacate()
		return nil, err
	}
	c.attach(p.readers.Get().(*bufio.Reader))
	return c, nil
}

// take is an idle connection, or nil with a place for one.
func (p *pool) take(ctx context.Context, fresh bool) (*conn, error) {
	p.mu.Lock()
	p.age()
	if last := len(p.idle) - 1; last >= 0 && (!fresh || p.places >= p.limits.Connections) {
		c := p.idle[last]
		p.idle[last], p.idle = nil, p.idle[:last]
		p.mu.Unlock()
		return c, nil
	}
	if p.places < p.limits.Connections {
		p.places++
		p.mu.Unlock()
		return nil, nil
	}
	turn := make(chan *conn, 1)
	p.waiting = append(p.waiting, turn)
	p.mu.Unlock()
	select {
	case c := <-turn:
		return c, nil
	case <-ctx.Done():
		p.leave(turn)
		return nil, ctx.Err()
	}
}

// leave stops waiting. What was handed over meanwhile goes to somebody else.
func (p *pool) leave(turn chan *conn) {
	p.mu.Lock()
	i := slices.Index(p.waiting, turn)
	if i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	p.mu.Unlock()
	if i >= 0 {
		return
	}
	if c := <-turn; c != nil {
		p.put(c)
	} else {
		p.vacate()
	}
}

// put keeps a connection of which nothing is left to read, for the next call.
func (p *pool) put(c *conn) {
	p.unread(c)
	p.mu.Lock()
	switch {
	case p.closed:
		p.mu.Unlock()
		p.drop(c)
		return
	case p.hand(c):
	default:
		c.since = p.now()
		p.idle = append(p.idle, c)
		if p.reaper == nil {
			p.reaper = time.AfterFunc(p.limits.Idle, p.reap)
		}
	}
	p.mu.Unlock()
}

// drop closes a connection and gives its place away.
func (p *pool) drop(c *conn) {
	p.unread(c)
	_ = c.raw.Close()
	p.vacate()
}

// unread takes the buffer from a connection that has one.
func (p *pool) unread(c *conn) {
	if c.in != nil {
		p.readers.Put(c.detach())
	}
}

func (p *pool) vacate() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.hand(nil) {
		p.places--
	}
}

// hand gives a connection, or its place, to who has waited longest, and says whether
// somebody has.
func (p *pool) hand(c *conn) bool {
	if len(p.waiting) == 0 {
		return false
	}
	p.waiting[0] <- c
	p.waiting = slices.Delete(p.waiting, 0, 1)
	return true
}

// age closes what has been idle for too long.
func (p *pool) age() {
	if len(p.idle) == 0 {
		return
	}
	oldest := p.now().Add(-p.limits.Idle)
	old := 0
	for old < len(p.idle) && p.idle[old].since.Before(oldest) {
		_ = p.idle[old].raw.Close()
		old++
	}
	p.idle = slices.Delete(p.idle, 0, old)
	p.places -= old // nobody waits while something is idle
}

// reap runs as long as something is idle.
func (p *pool) reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.age()
	if p.reaper = nil; len(p.idle) > 0 {
		p.reaper = time.AfterFunc(p.limits.Idle-p.now().Sub(p.idle[0].since)+time.Millisecond, p.reap)
	}
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		_ = c.raw.Close()
	}
	p.places -= len(p.idle)
	p.idle = nil
	if p.reaper != nil {
		p.reaper.Stop()
		p.reaper = nil
	}
}

// size is how many connections are open, and how many of them idle.
func (p *pool) size() (open, idle int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.places, len(p.idle)
}
