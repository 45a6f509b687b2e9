package upstream

import (
	"sync"
	"sync/atomic"
	"time"
)

// health is whether an API is called at all. It is ejected after a number of failures
// in a row; then one call in each interval goes through as a probe, and the first
// answer ends it.
type health struct {
	limits   Limits
	now      func() time.Time
	failures atomic.Int64 // in a row
	ejected  atomic.Bool

	mu       sync.Mutex
	interval time.Duration
	next     time.Time // when the next probe may go
}

func newHealth(limits Limits, now func() time.Time) *health {
	return &health{limits: limits, now: now, interval: limits.Probe}
}

// turn is whether a call may go, or how long nobody may.
type turn struct {
	ok, probe bool
	wait      time.Duration
}

func (h *health) admit() turn {
	if !h.ejected.Load() {
		return turn{ok: true}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	switch {
	case !h.ejected.Load():
		return turn{ok: true}
	case now.Before(h.next):
		return turn{wait: h.next.Sub(now)}
	}
	// A probe whose caller goes away says nothing; the next interval has another.
	h.next = now.Add(h.interval)
	return turn{ok: true, probe: true}
}

// failed says whether this failure ejected the API.
func (h *health) failed(t turn) bool {
	failures := h.failures.Add(1)
	if !t.probe && failures < int64(h.limits.Failures) {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ejected.Load() && !t.probe {
		return false // it was under way before the API was ejected
	}
	if t.probe {
		h.interval = min(2*h.interval, h.limits.ProbeMost)
	}
	h.next = h.now().Add(h.interval)
	return !h.ejected.Swap(true)
}

// succeeded says whether this answer ended an ejection.
func (h *health) succeeded() bool {
	if h.failures.Load() != 0 {
		h.failures.Store(0)
	}
	if !h.ejected.Load() {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.interval = h.limits.Probe
	return h.ejected.Swap(false)
}
