// Package recall says how long the holders of a shared amount are asked for what one of
// them lacks, before that one is refused. It imports nothing of ours.
package recall

import (
	"context"
	"sync"
	"time"
)

// What they give back may be taken by another before it gets there, and what they were just
// granted may still be on its way to them. So as long as it moves they are asked again; when
// it stands still it is in use.
const (
	still       = 500 * time.Millisecond
	stillRounds = 3               // at least, where they take long to answer
	patience    = 3 * time.Second // in all: whoever lacks it waits no longer
	firstWait   = 2 * time.Millisecond
	lastWait    = 50 * time.Millisecond
)

// Askings are the askings of a process. The zero value has none.
type Askings struct {
	mu    sync.Mutex
	under map[string]int // way, by what is asked for
}

// For begins an asking for something. End must follow.
func (a *Askings) For(what string) *Asking { return &Asking{all: a, what: what} }

func (a *Askings) count(what string, by int) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n = a.under[what] + by; n == 0 {
		delete(a.under, what)
		return 0
	}
	if a.under == nil {
		a.under = map[string]int{}
	}
	a.under[what] = n
	return n
}

// Asking is the asking for one who lacks something.
type Asking struct {
	all  *Askings
	what string

	rounds       int
	held         int64
	unmoved      int // rounds
	began, moved time.Time
	wait         time.Duration // before the next round
}

// Shared says whether somebody lacks the same and has had others asked, or is this one.
// Who finds some should leave a part of it then: else it would be asked for that at once.
func (a *Asking) Shared() bool { return a.all.count(a.what, 0) > 0 }

// InVain takes notice of what the others hold, and says whether to ask them again is in vain.
func (a *Asking) InVain(held int64) bool {
	now := time.Now()
	switch {
	case held <= 0:
		return true
	case a.rounds == 0:
		a.held, a.began, a.moved = held, now, now
		return false
	case held != a.held:
		a.held, a.moved, a.unmoved = held, now, 0
	default:
		a.unmoved++
	}
	return a.unmoved >= stillRounds && now.Sub(a.moved) >= still || now.Sub(a.began) >= patience
}

// Again has the others asked once more, after a while; the first time at once. It returns
// an error only when ctx has ended.
func (a *Asking) Again(ctx context.Context, ask func(context.Context)) error {
	if a.rounds++; a.rounds == 1 {
		a.all.count(a.what, 1)
		a.wait = firstWait
	} else if err := a.rest(ctx); err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, max(patience-time.Since(a.began), still))
	defer cancel()
	ask(within)
	return ctx.Err()
}

func (a *Asking) rest(ctx context.Context) error {
	timer := time.NewTimer(a.wait)
	defer timer.Stop()
	a.wait = min(4*a.wait, lastWait)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// End ends the asking: whoever lacked something has it, or goes without.
func (a *Asking) End() {
	if a.rounds > 0 {
		a.all.count(a.what, -1)
	}
}
