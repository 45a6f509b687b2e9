package ticker_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"m3o/internal/ticker"
)

// lease says whether this process has the lease.
type lease struct{ mine atomic.Bool }

func (l *lease) Acquire(context.Context, string, time.Duration) (bool, error) {
	return l.mine.Load(), nil
}

func TestTickersRunFromOneIntervalAfterStartUntilStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lease
		l.mine.Store(true)
		runner := ticker.NewRunner(&l, slog.New(slog.DiscardHandler))
		runner.Stop() // before Start is fine
		var runs atomic.Int64
		runner.Start(t.Context(), []ticker.Ticker{{Name: "test.Tick", Interval: time.Minute, Run: func(context.Context) error {
			runs.Add(1)
			return errors.New("does not end it")
		}}})
		time.Sleep(59 * time.Second)
		if n := runs.Load(); n != 0 {
			t.Errorf("ran %d times before the first interval", n)
		}
		time.Sleep(time.Minute + 2*time.Second)
		if n := runs.Load(); n != 2 {
			t.Errorf("ran %d times in two intervals", n)
		}
		runner.Stop()
		runner.Stop()
		time.Sleep(time.Hour)
		if n := runs.Load(); n != 2 {
			t.Errorf("ran after Stop")
		}
	})
}

func TestATickerOfOneReplicaRunsOnlyUnderItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lease
		runner := ticker.NewRunner(&l, slog.New(slog.DiscardHandler))
		defer runner.Stop()
		var one, all atomic.Int64
		count := func(n *atomic.Int64) func(context.Context) error {
			return func(context.Context) error { n.Add(1); return nil }
		}
		runner.Start(t.Context(), []ticker.Ticker{
			{Name: "test.One", Interval: time.Second, Replicas: ticker.One, Run: count(&one)},
			{Name: "test.All", Interval: time.Second, Replicas: ticker.All, Run: count(&all)},
		})
		time.Sleep(5*time.Second + time.Millisecond)
		if one.Load() != 0 || all.Load() != 5 {
			t.Errorf("without the lease: one ran %d times, all %d times", one.Load(), all.Load())
		}
		l.mine.Store(true)
		time.Sleep(5 * time.Second)
		if one.Load() != 5 {
			t.Errorf("with the lease it ran %d times", one.Load())
		}
	})
}

func TestMissedBeatsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runner := ticker.NewRunner(&lease{}, slog.New(slog.DiscardHandler))
		defer runner.Stop()
		var runs atomic.Int64
		runner.Start(t.Context(), []ticker.Ticker{{Name: "test.Slow", Interval: time.Second, Replicas: ticker.All, Run: func(ctx context.Context) error {
			runs.Add(1)
			time.Sleep(3500 * time.Millisecond)
			return nil
		}}})
		time.Sleep(10 * time.Second)
		if n := runs.Load(); n > 3 {
			t.Errorf("ran %d times in ten seconds, each taking 3.5", n)
		}
	})
}
