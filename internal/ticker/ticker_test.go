package ticker_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
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
		began := time.Now()
		var running atomic.Int64
		var beats []time.Duration
		runner.Start(t.Context(), []ticker.Ticker{{Name: "test.Slow", Interval: 50 * time.Millisecond, Replicas: ticker.All, Run: func(context.Context) error {
			if running.Add(1) != 1 {
				t.Error("two at once")
			}
			defer running.Add(-1)
			beats = append(beats, time.Since(began))
			time.Sleep(120 * time.Millisecond)
			return nil
		}}})
		time.Sleep(time.Second / 2)
		runner.Stop()
		if want := []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, 350 * time.Millisecond, 500 * time.Millisecond}; !slices.Equal(beats, want) && !slices.Equal(beats, want[:3]) {
			t.Errorf("ran at %v", beats)
		}
	})
}

func TestStopEndsTheIterationsContextAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runner := ticker.NewRunner(nil, slog.New(slog.DiscardHandler))
		ended := false
		runner.Start(t.Context(), []ticker.Ticker{{Name: "test.Long", Interval: time.Second, Run: func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Minute)
			ended = true
			return ctx.Err()
		}}})
		time.Sleep(2 * time.Second)
		if runner.Stop(); !ended {
			t.Error("Stop did not wait")
		}
	})
}

func TestAPanicIsLoggedAndTheNextBeatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		runner := ticker.NewRunner(nil, slog.New(slog.NewTextHandler(&logged, nil)))
		var runs atomic.Int64
		runner.Start(t.Context(), []ticker.Ticker{{Name: "test.Panics", Interval: time.Second, Run: func(context.Context) error {
			runs.Add(1)
			panic("boom")
		}}})
		time.Sleep(2*time.Second + time.Millisecond)
		runner.Stop()
		if n := runs.Load(); n != 2 {
			t.Errorf("ran %d times", n)
		}
		if text := logged.String(); !strings.Contains(text, "ticker=test.Panics panic=boom") || !strings.Contains(text, "ticker_test.go") {
			t.Errorf("logged %s", text)
		}
	})
}

func TestALongIterationKeepsItsLeaseAndEndsWithoutIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lease
		l.mine.Store(true)
		runner := ticker.NewRunner(&l, slog.New(slog.DiscardHandler))
		defer runner.Stop()
		var ended atomic.Bool
		runner.Start(t.Context(), []ticker.Ticker{{Name: "test.Long", Interval: time.Second, Run: func(ctx context.Context) error {
			<-ctx.Done()
			ended.Store(true)
			return ctx.Err()
		}}})
		time.Sleep(time.Minute)
		if ended.Load() {
			t.Fatal("it ended while it had the lease")
		}
		l.mine.Store(false)
		time.Sleep(3 * time.Second)
		if !ended.Load() {
			t.Error("it runs on without the lease")
		}
	})
}
