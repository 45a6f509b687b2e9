package asserts

import (
	"sync"
	"testing"
	"time"

	"m3o/internal/id"
)

// patience is how long Wait waits for an event.
const patience = 10 * time.Second

// Sink listens to an event until it is fired once.
type Sink[In, Out any] struct {
	t     testing.TB
	name  string
	stop  func()
	heard chan struct{} // closed when the event has been fired

	mu     sync.Mutex
	done   bool
	checks []func(testing.TB, In)
	out    Out
	err    error
}

// Hear subscribes a sink by what listen makes of it, until the event has been fired once or the test ends.
func Hear[In, Out any](t testing.TB, name string, listen func(call func(In) (Out, error)) (stop func())) *Sink[In, Out] {
	t.Helper()
	s := &Sink[In, Out]{t: t, name: name, heard: make(chan struct{})}
	s.stop = listen(s.call)
	t.Cleanup(s.stop)
	return s
}

// Listener is a name on the bus for one who listens, unlike any other.
func Listener() string { return id.New("sink") }

func (s *Sink[In, Out]) call(in In) (out Out, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return out, nil
	}
	for _, check := range s.checks {
		check(s.t, in)
	}
	s.done = true
	close(s.heard)
	return s.out, s.err
}

// Expect wants the event to tell this. Say so before it is fired.
func (s *Sink[In, Out]) Expect(want In) *Sink[In, Out] {
	return s.Assert(func(t testing.TB, in In) {
		if d := diff(want, in); d != "" {
			t.Errorf("%s tells something else (-want +have):\n%s", s.name, d)
		}
	})
}

// Assert gives what the event tells to a check of one's own. Say so before it is fired.
func (s *Sink[In, Out]) Assert(check func(t testing.TB, in In)) *Sink[In, Out] {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checks = append(s.checks, check)
	return s
}

// Return sets what the sink answers. Say so before the event is fired.
func (s *Sink[In, Out]) Return(out Out, err error) *Sink[In, Out] {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out, s.err = out, err
	return s
}

// Wait wants the event to be fired, and stops listening once it has been.
func (s *Sink[In, Out]) Wait() {
	s.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.heard:
	case <-timer.C:
		s.t.Errorf("%s was not fired within %s", s.name, patience)
	}
	s.stop()
}
