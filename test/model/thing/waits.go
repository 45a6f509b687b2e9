package thing

import (
	"context"
	"sync"
	"time"
)

// waits remembers how waiting has ended.
type waits struct {
	mu     sync.Mutex
	began  int
	ended  int // by their contexts
	ranFor time.Duration
}

// wait waits for span or for the context's end, and says how long it was.
func (w *waits) wait(ctx context.Context, span time.Duration) (time.Duration, error) {
	began := time.Now()
	w.begin()
	timer := time.NewTimer(span)
	defer timer.Stop()
	select {
	case <-timer.C:
		return time.Since(began), nil
	case <-ctx.Done():
		w.end(time.Since(began))
		return 0, ctx.Err()
	}
}

func (w *waits) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began++
}

func (w *waits) end(ranFor time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended++
	w.ranFor = ranFor
}

func (w *waits) read() (began, ended int, ranFor time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.began, w.ended, w.ranFor
}
