package recall_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"m3o/internal/recall"
)

// asked is for how long others are asked who hold what held says after so many rounds.
func asked(t *testing.T, held func(round int) int64) (rounds int, took time.Duration) {
	t.Helper()
	began := time.Now()
	a := &recall.Asking{}
	for !a.InVain(held(rounds)) {
		if err := a.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		rounds++
	}
	return rounds, time.Since(began)
}

func TestAsking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			held        func(round int) int64
			rounds      int
			least, most time.Duration
		}{
			"nobody holds any":           {func(int) int64 { return 0 }, 0, 0, 0},
			"what they hold is in use":   {func(int) int64 { return 7 }, 10, 500 * time.Millisecond, 600 * time.Millisecond},
			"it moves, and then no more": {func(round int) int64 { return int64(max(20-round, 10)) }, 18, 800 * time.Millisecond, 1100 * time.Millisecond},
			"it goes round and round":    {func(round int) int64 { return int64(1 + round%2) }, 60, 3 * time.Second, 3100 * time.Millisecond},
			"they give all of it back":   {func(round int) int64 { return int64(max(2-round, 0)) }, 2, 0, 10 * time.Millisecond},
		} {
			rounds, took := asked(t, test.held)
			if took < test.least || took > test.most || rounds < test.rounds || rounds > test.rounds+10 {
				t.Errorf("%s: asked %d times in %v", name, rounds, took)
			}
		}
	})
}

func TestAskingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	a := &recall.Asking{}
	if a.Begun() || a.Next(ctx) != nil || !a.Begun() {
		t.Error("the first time is not told from the others")
	}
	cancel()
	if err := a.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
