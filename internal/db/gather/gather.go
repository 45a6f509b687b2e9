// Package gather has requests that wait at the same time done as one set, so that they share a transaction, its
// statements and its commit. It owns who waits and whose turn it is; what a set does is its maker's. Services import it.
//
// It is for the hottest writes, where db.Batch is not enough: there every member runs statements of its own.
package gather

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	most  = 128              // requests of one set, so that the first does not wait long for the last
	limit = 30 * time.Second // for a set
)

// What everybody gets of a set whose run panicked, or broke its word.
var (
	errLeft  = errors.New("the set was not done: it panicked")
	errCount = errors.New("the set was done, but not every request was answered")
)

// Answer is what came of one request.
type Answer[A any] struct {
	Value A
	Err   error
}

// Run does the requests of a set, which came in that order, and answers each: the i-th answer is the i-th request's.
// Its error is everybody's. Its context is nobody's in particular: it has the values of one caller's, and a deadline of
// its own.
type Run[Q, A any] func(ctx context.Context, set []Q) ([]Answer[A], error)

// Group gathers requests. It is safe for concurrent use.
type Group[Q, A any] struct {
	run Run[Q, A]

	mu    sync.Mutex
	busy  bool // a set is being done
	queue []*member[Q, A]
}

// New makes a group whose sets run does.
func New[Q, A any](run Run[Q, A]) *Group[Q, A] { return &Group[Q, A]{run: run} }

// Do answers one request. Who is alone waits for nothing. Who comes while a set is being done is in the next one; sets
// follow one another, and are done in the goroutine of one of their callers. A caller whose ctx ends before its turn
// gets ctx.Err() and the request is not done; after that it waits for the answer.
func (g *Group[Q, A]) Do(ctx context.Context, request Q) (A, error) {
	return g.Within(ctx, 0, request)
}

// Within is Do for a request that has time: it joins the next set that somebody else wants, and begins one only after
// patience. So what nobody waits for costs no sets of its own while there are others.
func (g *Group[Q, A]) Within(ctx context.Context, patience time.Duration, request Q) (A, error) {
	m := &member[Q, A]{request: request, lead: make(chan []*member[Q, A], 1), done: make(chan Answer[A], 1)}
	if err := ctx.Err(); err != nil {
		return m.none(err)
	}
	g.join(m, patience <= 0)
	var due <-chan time.Time
	if patience > 0 {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		due = timer.C
	}
	ended := ctx.Done()
	for {
		select {
		case <-due:
			g.press(m)
		case set := <-m.lead:
			g.do(ctx, set)
		case answer := <-m.done:
			return answer.Value, answer.Err
		case <-ended:
			if g.leave(m) {
				return m.none(ctx.Err())
			}
			ended = nil
		}
	}
}

// member is one caller of Do.
type member[Q, A any] struct {
	request Q
	due     bool                 // it has no time (any more)
	lead    chan []*member[Q, A] // the set that this caller is to do, itself in it
	done    chan Answer[A]
}

func (*member[Q, A]) none(err error) (A, error) {
	var nothing A
	return nothing, err
}

// join queues a caller. Who is due begins a set, unless one is being done.
func (g *Group[Q, A]) join(m *member[Q, A], due bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.queue, m.due = append(g.queue, m), due
	if !g.busy {
		g.next()
	}
}

// press makes a caller due whose patience is over.
func (g *Group[Q, A]) press(m *member[Q, A]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m.due = true
	if !g.busy {
		g.next()
	}
}

// leave takes a caller off the queue, unless it is in a set already.
func (g *Group[Q, A]) leave(m *member[Q, A]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	place := slices.Index(g.queue, m)
	if place < 0 {
		return false
	}
	g.queue = slices.Delete(g.queue, place, place+1)
	return true
}

// next gives the next set to the first of its callers, if any caller is due. It is called with mu held.
func (g *Group[Q, A]) next() {
	g.busy = slices.ContainsFunc(g.queue, func(m *member[Q, A]) bool { return m.due })
	if !g.busy {
		return
	}
	n := min(len(g.queue), most)
	set := slices.Clone(g.queue[:n])
	g.queue = slices.Delete(g.queue, 0, n)
	set[0].lead <- set
}

// do does a set. Everybody has an answer afterwards, also when run panics, and the next set has begun.
func (g *Group[Q, A]) do(ctx context.Context, set []*member[Q, A]) {
	answers, err := []Answer[A](nil), errLeft
	defer func() {
		g.mu.Lock()
		g.next()
		g.mu.Unlock()
		for i, m := range set {
			if err != nil {
				m.done <- Answer[A]{Err: err}
				continue
			}
			m.done <- answers[i]
		}
	}()
	requests := make([]Q, len(set))
	for i, m := range set {
		requests[i] = m.request
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if answers, err = g.run(ctx, requests); err == nil && len(answers) != len(set) {
		err = errCount
	}
}
