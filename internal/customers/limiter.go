package customers

import (
	"sync"
	"time"

	"m3o/internal/auth"
	"m3o/internal/db/throttle"
)

// limiterMax bounds the memory of a limiter, also when somebody has many addresses.
const limiterMax = 1 << 16

// limiter lets each client do something count times at once and then once every window/count: the generic cell rate
// algorithm. It forgets with the process, which is good enough for a brake on a client; what must hold is counted in
// the store.
type limiter struct {
	window time.Duration
	now    func() time.Time

	mu     sync.Mutex
	usedUp map[string]time.Time // by client: until when its allowance is used up
}

func newLimiter(window time.Duration, now func() time.Time) *limiter {
	return &limiter{window: window, now: now, usedUp: map[string]time.Time{}}
}

// take uses one of the client's count, or answers fault.Limited. No client, a call from inside the house, is not limited.
func (l *limiter) take(client string, count int) error {
	if client == "" {
		return nil
	}
	client, now, step := auth.Network(client), l.now(), l.window/time.Duration(count)
	l.mu.Lock()
	defer l.mu.Unlock()
	until := l.usedUp[client]
	if until.Before(now) {
		until = now
	}
	if wait := until.Add(step).Sub(now) - l.window; wait > 0 {
		return throttle.Limited(wait)
	}
	l.makeRoom(now)
	l.usedUp[client] = until.Add(step)
	return nil
}

// makeRoom forgets clients when there are too many: those with their whole allowance, and if that is not enough, all.
func (l *limiter) makeRoom(now time.Time) {
	if len(l.usedUp) < limiterMax {
		return
	}
	for client, until := range l.usedUp {
		if until.Before(now) {
			delete(l.usedUp, client)
		}
	}
	if len(l.usedUp) >= limiterMax {
		clear(l.usedUp)
	}
}
