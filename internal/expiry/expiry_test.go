package expiry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"m3o/internal/expiry"
)

// wants checks how a context has ended; nil: not yet.
func wants(t *testing.T, ctx context.Context, want error) {
	t.Helper()
	if err := ctx.Err(); !errors.Is(err, want) {
		t.Errorf("it says %v, not %v", err, want)
	}
	select {
	case <-ctx.Done():
		if want == nil {
			t.Error("it has ended")
		}
	default:
		if want != nil {
			t.Error("whoever waits for its end waits on")
		}
	}
	if cause := context.Cause(ctx); !errors.Is(cause, want) {
		t.Errorf("its cause is %v, not %v", cause, want)
	}
}

func TestContext(t *testing.T) {
	t.Parallel()
	t.Run("EndsWithItsTime", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			unwatched, watched := expiry.With(t.Context(), time.Second), expiry.With(t.Context(), time.Second)
			wants(t, watched, nil)
			child, cancel := context.WithCancel(watched)
			defer cancel()
			time.Sleep(999 * time.Millisecond)
			wants(t, child, nil)
			time.Sleep(time.Millisecond)
			synctest.Wait()
			wants(t, unwatched, context.DeadlineExceeded)
			wants(t, watched, context.DeadlineExceeded)
			wants(t, child, context.DeadlineExceeded)
		})
	})
	t.Run("EndsAtItsParentsTimeWhenThatComesFirst", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			parent, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			for _, limit := range []time.Duration{0, time.Minute} {
				e := expiry.With(parent, limit)
				if until, bounded := e.Deadline(); !bounded || time.Until(until) != time.Second {
					t.Errorf("the deadline is %v, %t", time.Until(until), bounded)
				}
			}
			unwatched, over := expiry.With(parent, time.Minute), expiry.With(parent, -time.Second)
			wants(t, over, context.DeadlineExceeded)
			time.Sleep(time.Second)
			synctest.Wait()
			wants(t, unwatched, context.DeadlineExceeded)
		})
	})
	t.Run("WakesWhoeverWaitedBefore", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			e := expiry.With(t.Context(), time.Second)
			<-e.Done()
			wants(t, e, context.DeadlineExceeded)
		})
	})
	t.Run("EndsWhenItIsCancelled", func(t *testing.T) {
		t.Parallel()
		unwatched, watched := expiry.With(t.Context(), 0), expiry.With(t.Context(), time.Hour)
		wants(t, watched, nil)
		for _, e := range []*expiry.Context{unwatched, watched} {
			e.End()
			e.End()
			wants(t, e, context.Canceled)
		}
	})
	t.Run("MayBeCancelledBeforeItBegins", func(t *testing.T) {
		t.Parallel()
		e := &expiry.Context{}
		e.End()
		e.Begin(t.Context(), time.Hour)
		wants(t, e, context.Canceled)
	})
	t.Run("EndsWithItsParent", func(t *testing.T) {
		t.Parallel()
		living, stop := context.WithCancel(t.Context())
		unwatched, watched := expiry.With(living, time.Hour), expiry.With(living, 0)
		wants(t, watched, nil)
		stop()
		wants(t, unwatched, context.Canceled)
		wants(t, watched, context.Canceled)
	})
	t.Run("HasItsParentsValues", func(t *testing.T) {
		t.Parallel()
		type key struct{}
		e := expiry.With(context.WithValue(t.Context(), key{}, "value"), time.Hour)
		for range 2 {
			if e.Value(key{}) != "value" {
				t.Error("the value is lost")
			}
			wants(t, e, nil) // from now on somebody waits
		}
		if until, bounded := e.Deadline(); !bounded || time.Until(until) > time.Hour {
			t.Error("the deadline is", until, bounded)
		}
	})
}
