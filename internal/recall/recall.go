// Package recall says how long the holders of a shared amount are asked for what one of
// them lacks, before that one is refused. It imports nothing of ours.
package recall

import (
	"context"
	"time"
)

// What they give back may be taken by another before it gets there, and what they were just
// granted may still be on its way to them. So as long as it moves they are asked again; when
// it stands still it is in use.
const (
	still     = 500 * time.Millisecond
	patience  = 3 * time.Second // in all: whoever lacks it waits no longer
	firstWait = 2 * time.Millisecond
	lastWait  = 50 * time.Millisecond
)

// Asking is the asking for one who lacks something. Its zero value has asked nobody.
type Asking struct {
	rounds        int
	held          int64
	stood, waited time.Duration // since that has moved, and in all; what the others take to answer is not counted
	wait          time.Duration // before the next round
}

// Begun says whether the others have been asked.
func (a *Asking) Begun() bool { return a.rounds > 0 }

// InVain takes notice of what the others hold, and says whether to ask them again is in vain.
func (a *Asking) InVain(held int64) bool {
	if held != a.held {
		a.held, a.stood = held, 0
	}
	return held <= 0 || a.stood >= still || a.waited >= patience
}

// Next waits before they are asked once more, the first time for nothing.
func (a *Asking) Next(ctx context.Context) error {
	a.rounds++
	if a.rounds == 1 {
		a.wait = firstWait
		return ctx.Err()
	}
	timer := time.NewTimer(a.wait)
	defer timer.Stop()
	a.stood, a.waited, a.wait = a.stood+a.wait, a.waited+a.wait, min(4*a.wait, lastWait)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
