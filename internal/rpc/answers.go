package rpc

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"

	"m3o/internal/bus"
	"m3o/internal/fault"
)

// Answer is what one replica has answered to a multicast call or to an event.
type Answer[Out any] struct {
	Replica string // who
	Queue   string // for whom: usually the host of its service; empty: for itself
	Out     Out    // when Err is nil
	Err     error
}

// Answers are the answers to a multicast call or to an event. They may be left unread.
type Answers[Out any] struct {
	function Function
	plan     *plan
	replies  <-chan bus.Reply
	cancel   context.CancelFunc
	err      error // why nobody was asked
}

// Multicast calls a function of everybody who serves it: of one replica of each queue
// and of each replica without one. It returns at once. Whoever has not answered when
// the context ends, or after the function's time budget, answers fault.Expired.
func Multicast[In, Out any](ctx context.Context, c Caller, f Function, in *In) *Answers[Out] {
	answers := &Answers[Out]{function: f, plan: c.planOf(reflect.TypeFor[Out]())}
	ctx, answers.cancel = detach(ctx, f.Timeout)
	r, err := c.request(ctx, f, reflect.ValueOf(in).Elem())
	if err != nil {
		answers.cancel()
		answers.err = fault.TraceCall(err, generated)
		return answers
	}
	r.Header.Del(keyHeader) // each of them is given a request of its own
	answers.replies = c.bus.Multicast(r)
	return answers
}

// All yields the answers as they come. They can be read once.
func (a *Answers[Out]) All() iter.Seq[Answer[Out]] {
	return func(yield func(Answer[Out]) bool) {
		defer a.cancel()
		if a.err != nil {
			yield(Answer[Out]{Err: a.err})
			return
		}
		for reply := range a.replies {
			if !yield(a.read(reply)) {
				return
			}
		}
	}
}

func (a *Answers[Out]) read(reply bus.Reply) Answer[Out] {
	answer := Answer[Out]{Replica: reply.Replica, Queue: reply.Queue}
	if err := a.plan.read(reply.Status, reply.Header, reply.Body, reflect.ValueOf(&answer.Out).Elem()); err != nil {
		who := reply.Queue
		if who == "" {
			who = reply.Replica
		}
		answer.Err = fmt.Errorf("%s of %s.%s: %w", who, a.function.Host, a.function.Name, err)
	}
	return answer
}

// Wait waits for all answers. It returns the results, and the errors joined; nobody
// at all is not an error.
func (a *Answers[Out]) Wait() (results []Out, err error) {
	var failed []error
	for answer := range a.All() {
		if answer.Err != nil {
			failed = append(failed, answer.Err)
			continue
		}
		results = append(results, answer.Out)
	}
	return results, errors.Join(failed...)
}

// Err waits for all answers and returns their errors, joined.
func (a *Answers[Out]) Err() error {
	_, err := a.Wait()
	return err
}

// Hook is where sinks of the events of one contract are made.
type Hook struct {
	bus     bus.Bus
	replica string
	queue   string
	host    string // in place of the contract's; empty: the contract's
}

// NewHook makes a hook for a replica. Of the replicas that listen with one queue each
// firing reaches one; without a queue, each of them.
func NewHook(b bus.Bus, replica, queue string) Hook {
	return Hook{bus: b, replica: replica, queue: queue}
}

// ForHost is a hook for a source that runs under another host.
func (h Hook) ForHost(host string) Hook {
	h.host = host
	return h
}

// Listen makes call a sink of an event. What it returns stops listening.
func Listen[In, Out any](h Hook, f Function, call func(context.Context, *In) (Out, error)) (stop func()) {
	if h.host != "" {
		f.Host = h.host
	}
	route := Unary(f, call)
	return h.bus.Serve(h.replica, bus.Endpoint{Host: f.Host, Port: f.Port, Method: f.Method, Path: f.Path, Queue: h.queue, Handler: route.Handler})
}
