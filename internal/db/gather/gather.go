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

// Run does the requests of a set and answers each: the i-th answer is the i-th request's. Take gives the set, in the
// order in which its requests came: whoever waits when it is called for the first time, and the same again after that. A
// run that has to wait itself, for a connection or for others' transactions, calls it afterwards, so that more share the
// set. An error is everybody's, theirs too who waited when a run failed without having taken them. The context is
// nobody's in particular: it has the values of one caller's, and a deadline of its own.
type Run[Q, A any] func(ctx context.Context, take func() []Q) ([]Answer[A], error)

// Group gathers requests. It is safe for concurrent use.
type Group[Q, A any] struct {
	run Run[Q, A]

	mu    sync.Mutex
	busy  bool // a set is being done
	queue []*member[Q, A]
}

// New makes a group whose sets run does.
func New[Q, A any](run Run[Q, A]) *Group[Q, A] { return &Group[Q, A]{run: run} }

// Do answers one request. Who is alone waits for nothing. Who comes while a set is being done is in the next one, who
// comes before it is taken in this one; sets follow one another, and are done in the goroutine of one of their callers. A caller whose ctx ends before its turn
// gets ctx.Err() and the request is not done; after that it waits for the answer.
func (g *Group[Q, A]) Do(ctx context.Context, request Q) (A, error) {
	return g.Within(ctx, 0, request)
}

// Within is Do for a request that has time: it joins the next set that somebody else wants, and begins one only after
// patience. So what nobody waits for costs no sets of its own while there are others.
func (g *Group[Q, A]) Within(ctx context.Context, patience time.Duration, request Q) (A, error) {
	m := &member[Q, A]{request: request, lead: make(chan struct{}, 1), done: make(chan Answer[A], 1)}
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
		case <-m.lead:
			g.do(ctx, m)
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
	due     bool          // it has no time (any more)
	lead    chan struct{} // this caller is to do the next set, itself in it
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

// next has the first caller do the next set, if any caller is due. It is called with mu held.
func (g *Group[Q, A]) next() {
	g.busy = slices.ContainsFunc(g.queue, func(m *member[Q, A]) bool { return m.due })
	if !g.busy {
		return
	}
	first := g.queue[0]
	g.queue = slices.Delete(g.queue, 0, 1) // it cannot leave any more
	first.lead <- struct{}{}
}

// take takes those who wait into the set of its first caller.
func (g *Group[Q, A]) take(first *member[Q, A]) []*member[Q, A] {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.queue), most-1)
	set := append([]*member[Q, A]{first}, g.queue[:n]...)
	g.queue = slices.Delete(g.queue, 0, n)
	return set
}

// do does the set of its first caller. Everybody has an answer afterwards, also when run panics, and the next set has begun.
func (g *Group[Q, A]) do(ctx context.Context, first *member[Q, A]) {
	set := sync.OnceValue(func() []*member[Q, A] { return g.take(first) })
	requests := sync.OnceValue(func() []Q { return requestsOf(set()) })
	answers, err := []Answer[A](nil), errLeft
	defer func() {
		all := set()
		g.mu.Lock()
		g.next()
		g.mu.Unlock()
		for i, m := range all {
			if err != nil {
				m.done <- Answer[A]{Err: err}
				continue
			}
			m.done <- answers[i]
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if answers, err = g.run(ctx, requests); err == nil && len(answers) != len(requests()) {
		err = errCount
	}
}

func requestsOf[Q, A any](set []*member[Q, A]) []Q {
	requests := make([]Q, len(set))
	for i, m := range set {
		requests[i] = m.request
	}
	return requests
}
