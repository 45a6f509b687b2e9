package recall_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"m3o/internal/recall"
)

// asked is for how long others are asked who take so long to answer and hold what held says
// after so many rounds.
func asked(t *testing.T, answer time.Duration, held func(round int) int64) (rounds int, took time.Duration) {
	t.Helper()
	began := time.Now()
	all := &recall.Askings{}
	a := all.For("money")
	defer a.End()
	for !a.InVain(held(rounds)) {
		err := a.Again(t.Context(), func(ctx context.Context) {
			rounds++
			select {
			case <-time.After(answer):
			case <-ctx.Done():
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return rounds, time.Since(began)
}

func TestAsking(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			answer       time.Duration
			held         func(round int) int64
			rounds, most int
			least, limit time.Duration
		}{
			"nobody holds any":                     {0, func(int) int64 { return 0 }, 0, 0, 0, 0},
			"what they hold is in use":             {0, func(int) int64 { return 7 }, 10, 16, 500 * ms, 600 * ms},
			"it is, and they are far away":         {400 * ms, func(int) int64 { return 7 }, 3, 3, 1200 * ms, 1300 * ms},
			"it moves, and then no more":           {0, func(round int) int64 { return int64(max(20-round, 10)) }, 18, 26, 800 * ms, 1100 * ms},
			"it goes round and round":              {0, func(round int) int64 { return int64(1 + round%2) }, 60, 70, 3000 * ms, 3100 * ms},
			"it goes round, and they are far away": {400 * ms, func(round int) int64 { return int64(1 + round%2) }, 7, 8, 3000 * ms, 3500 * ms},
			"they do not answer":                   {time.Hour, func(int) int64 { return 7 }, 1, 1, 3000 * ms, 3100 * ms},
			"they give all of it back":             {0, func(round int) int64 { return int64(max(2-round, 0)) }, 2, 2, 0, 10 * ms},
		} {
			rounds, took := asked(t, test.answer, test.held)
			if took < test.least || took > test.limit || rounds < test.rounds || rounds > test.most {
				t.Errorf("%s: asked %d times in %v", name, rounds, took)
			}
		}
	})
}

func TestWhatSomebodyLacksIsShared(t *testing.T) {
	t.Parallel()
	var all recall.Askings
	lacks, finds, other := all.For("money"), all.For("money"), all.For("calls")
	lacks.InVain(1)
	if finds.Shared() {
		t.Error("nobody has been asked, and it is shared")
	}
	if err := lacks.Again(t.Context(), func(context.Context) {}); err != nil {
		t.Fatal(err)
	}
	if !finds.Shared() || !lacks.Shared() || other.Shared() {
		t.Error("whoever finds some does not leave a part of it")
	}
	lacks.End()
	finds.End()
	if finds.Shared() {
		t.Error("nobody lacks any, and it is shared")
	}
}

func TestAskingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	a := (&recall.Askings{}).For("money")
	defer a.End()
	a.InVain(1)
	if err := a.Again(ctx, func(context.Context) {}); err != nil {
		t.Error(err)
	}
	cancel()
	if err := a.Again(ctx, func(context.Context) { t.Error("the others were asked") }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
