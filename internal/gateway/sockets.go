package gateway

import (
	"context"
	"sync"
	"time"

	"m3o/internal/fault"
)

// maxSockets is how many WebSockets a customer may have open. Each costs three
// goroutines and buffers of some 50 KB, and as much again as its messages are long.
const maxSockets = 100

// sockets are the WebSockets that are open.
type sockets struct {
	mu       sync.Mutex
	open     map[string]int // by customer
	stopping chan struct{}  // closed: no new ones, and those that are open end
	cut      chan struct{}  // closed: at once
	ended    sync.WaitGroup
}

func newSockets() *sockets {
	return &sockets{open: map[string]int{}, stopping: make(chan struct{}), cut: make(chan struct{})}
}

// enter counts a socket of a customer until leave is called.
func (s *sockets) enter(customerID string) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if isClosed(s.stopping) {
		return nil, unavailable(nil)
	}
	if s.open[customerID] >= maxSockets {
		return nil, fault.New(fault.Limited, "Too Many Requests: at most %d WebSockets may be open", maxSockets).WithID("v1.blocked").After(time.Second)
	}
	s.open[customerID]++
	s.ended.Add(1)
	return func() { s.leave(customerID) }, nil
}

func (s *sockets) leave(customerID string) {
	s.mu.Lock()
	if s.open[customerID]--; s.open[customerID] == 0 {
		delete(s.open, customerID)
	}
	s.mu.Unlock()
	s.ended.Done()
}

// stop ends every socket after the message in flight, and at once when the context
// ends. It returns when all have ended, and may be called twice.
func (s *sockets) stop(ctx context.Context) {
	s.shut(s.stopping)
	defer context.AfterFunc(ctx, func() { s.shut(s.cut) })()
	s.ended.Wait()
}

func (s *sockets) shut(door chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !isClosed(door) {
		close(door)
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
