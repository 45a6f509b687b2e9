package gateway

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestALimitEndsAContextWhetherOrNotAnybodyWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			parent, limit, until time.Duration
			want                 error
		}{
			"before its end":             {0, time.Second, 999 * time.Millisecond, nil},
			"at its end":                 {0, time.Second, time.Second, context.DeadlineExceeded},
			"at its parent's end":        {time.Second, time.Minute, time.Second, context.DeadlineExceeded},
			"sooner than its parent":     {time.Minute, time.Second, time.Second, context.DeadlineExceeded},
			"before its parent's end":    {time.Second, time.Minute, 999 * time.Millisecond, nil},
			"a limit that is over":       {0, -time.Second, 0, context.DeadlineExceeded},
			"a parent that is over then": {-time.Second, time.Second, 0, context.DeadlineExceeded},
		} {
			for _, waits := range []bool{false, true} {
				parent, end := t.Context(), context.CancelFunc(func() {})
				if test.parent != 0 {
					parent, end = context.WithTimeout(parent, test.parent)
				}
				ctx, cancel := withLimit(parent, time.Now, test.limit)
				child, done := ctx, context.CancelFunc(func() {})
				if waits {
					child, done = context.WithCancel(ctx)
				}
				time.Sleep(test.until)
				synctest.Wait()
				if !errors.Is(ctx.Err(), test.want) || !errors.Is(child.Err(), test.want) {
					t.Errorf("%s: %v, its child %v, want %v", name, ctx.Err(), child.Err(), test.want)
				}
				select {
				case <-ctx.Done():
					if test.want == nil {
						t.Errorf("%s: it is done", name)
					}
				default:
					if test.want != nil {
						t.Errorf("%s: it is not done", name)
					}
				}
				done()
				cancel()
				end()
			}
		}
	})
}

func TestALimitedContextIsCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, how := range map[string]func(parent, own context.CancelFunc){
			"itself":     func(_, own context.CancelFunc) { own() },
			"its parent": func(parent, _ context.CancelFunc) { parent() },
		} {
			for _, waits := range []bool{false, true} {
				parent, end := context.WithCancel(t.Context())
				ctx, cancel := withLimit(parent, time.Now, time.Minute)
				if waits {
					go func() { <-ctx.Done() }()
					synctest.Wait()
				}
				how(end, cancel)
				if synctest.Wait(); !errors.Is(ctx.Err(), context.Canceled) {
					t.Errorf("%s: %v", name, ctx.Err())
				}
				<-ctx.Done()
				cancel()
				end()
			}
		}
	})
}
