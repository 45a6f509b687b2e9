package gather_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"m3o/internal/db/gather"
)

var errOdd = errors.New("odd")

// desk does sets when it is told to, and keeps them.
type desk struct {
	*gather.Group[int, int]
	gate chan struct{} // one receive a set; nil: at once
	turn chan struct{} // one receive before a set is taken; nil: at once

	mu   sync.Mutex
	sets [][]int
}

// newDesk doubles even numbers and refuses odd ones; 0 panics and -1 fails the set.
func newDesk(gate chan struct{}) *desk {
	d := &desk{gate: gate}
	d.Group = gather.New(func(ctx context.Context, take func() []int) ([]gather.Answer[int], error) {
		if d.turn != nil {
			if _, open := <-d.turn; !open {
				return nil, errOdd
			}
		}
		set := take()
		d.mu.Lock()
		d.sets = append(d.sets, slices.Clone(set))
		d.mu.Unlock()
		if d.gate != nil {
			<-d.gate
		}
		if again := take(); !slices.Equal(again, set) {
			return nil, fmt.Errorf("took %v, and then %v", set, again)
		}
		answers := make([]gather.Answer[int], len(set))
		for i, n := range set {
			switch {
			case n == 0:
				panic("zero")
			case n == -1:
				return nil, errOdd
			case n%2 == 1:
				answers[i].Err = errOdd
			default:
				answers[i].Value = 2 * n
			}
		}
		return answers, ctx.Err()
	})
	return d
}

func TestEachHasItsOwnAnswer(t *testing.T) {
	t.Parallel()
	d := newDesk(nil)
	var wg sync.WaitGroup
	for n := 1; n <= 1000; n++ {
		wg.Go(func() {
			got, err := d.Do(t.Context(), n)
			if n%2 == 1 && !errors.Is(err, errOdd) || n%2 == 0 && (got != 2*n || err != nil) {
				t.Errorf("Do(%d) = %d, %v", n, got, err)
			}
		})
	}
	wg.Wait()
	var all []int
	for _, set := range d.sets {
		if len(set) > 128 {
			t.Errorf("a set of %d", len(set))
		}
		all = append(all, set...)
	}
	slices.Sort(all)
	if len(all) != 1000 || all[0] != 1 || len(slices.Compact(all)) != 1000 {
		t.Errorf("%d requests were done, want each of 1000 once", len(all))
	}
}

// crowd has one caller at work with the first number while the others queue, in their order.
func crowd(ctx context.Context, d *desk, numbers ...int) (results []func() (int, error), finish func()) {
	var wg sync.WaitGroup
	for _, n := range numbers {
		var got int
		var err error
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					err = errors.New("panicked")
				}
			}()
			got, err = d.Do(ctx, n)
		})
		synctest.Wait()
		results = append(results, func() (int, error) { return got, err })
	}
	return results, wg.Wait
}

func TestWhoMeetsIsDoneTogetherInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(make(chan struct{}))
		_, finish := crowd(t.Context(), d, 2, 4, 3, 6)
		close(d.gate)
		finish()
		if len(d.sets) != 2 || !slices.Equal(d.sets[0], []int{2}) || !slices.Equal(d.sets[1], []int{4, 3, 6}) {
			t.Errorf("got %v, want 2 alone and then the others", d.sets)
		}
	})
}

// Whoever comes before a set is taken is in it, however long its run waits first.
func TestASetIsTakenWhenItsTurnHasCome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(nil)
		d.turn = make(chan struct{})
		_, finish := crowd(t.Context(), d, 2, 4, 6)
		d.turn <- struct{}{}
		finish()
		if len(d.sets) != 1 || !slices.Equal(d.sets[0], []int{2, 4, 6}) {
			t.Errorf("got %v, want all in one set", d.sets)
		}
	})
}

func TestWhoLeavesBeforeASetIsTakenIsNotDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(nil)
		d.turn = make(chan struct{})
		leader, stop := context.WithCancel(t.Context())
		first, finish := crowd(leader, d, 2)
		ctx, cancel := context.WithCancel(t.Context())
		left, second := crowd(ctx, d, 4)
		stop() // who does the set is in it whatever happens
		cancel()
		second()
		if _, err := left[0](); !errors.Is(err, context.Canceled) {
			t.Errorf("who left got %v", err)
		}
		d.turn <- struct{}{}
		finish()
		if got, err := first[0](); got != 4 || err != nil || len(d.sets) != 1 || !slices.Equal(d.sets[0], []int{2}) {
			t.Errorf("got %d, %v of %v", got, err, d.sets)
		}
	})
}

func TestARunThatFailsBeforeItsTurnFailsForAllWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(nil)
		d.turn = make(chan struct{})
		results, finish := crowd(t.Context(), d, 2, 4)
		close(d.turn)
		finish()
		for i, result := range results {
			if _, err := result(); !errors.Is(err, errOdd) || len(d.sets) != 0 {
				t.Errorf("%d: %v of %v", i, err, d.sets)
			}
		}
	})
}

func TestWhoLeavesInTimeIsNotDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(make(chan struct{}))
		_, first := crowd(t.Context(), d, 2)
		ctx, cancel := context.WithCancel(t.Context())
		left, second := crowd(ctx, d, 4)
		stayed, third := crowd(t.Context(), d, 6)
		cancel()
		second()
		if _, err := left[0](); !errors.Is(err, context.Canceled) {
			t.Errorf("who left got %v", err)
		}
		close(d.gate)
		first()
		third()
		if got, err := stayed[0](); got != 12 || err != nil || len(d.sets) != 2 || !slices.Equal(d.sets[1], []int{6}) {
			t.Errorf("who stayed got %d, %v of %v", got, err, d.sets)
		}
		if _, err := d.Do(ctx, 8); !errors.Is(err, context.Canceled) || len(d.sets) != 2 {
			t.Errorf("who came too late got %v of %v", err, d.sets)
		}
	})
}

// Who has time goes with who has none, and alone when nobody comes.
func TestWhoHasTimeWaitsForOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(nil)
		var wg sync.WaitGroup
		patient := func(n int) {
			wg.Go(func() {
				if got, err := d.Within(t.Context(), time.Second, n); got != 2*n || err != nil {
					t.Errorf("Within(%d) = %d, %v", n, got, err)
				}
			})
			synctest.Wait()
		}
		patient(2)
		patient(4)
		if len(d.sets) != 0 {
			t.Errorf("%v: they have time", d.sets)
		}
		if got, err := d.Do(t.Context(), 6); got != 12 || err != nil {
			t.Errorf("Do(6) = %d, %v", got, err)
		}
		wg.Wait()
		begun := time.Now()
		patient(8)
		wg.Wait()
		if len(d.sets) != 2 || !slices.Equal(d.sets[0], []int{2, 4, 6}) || !slices.Equal(d.sets[1], []int{8}) || time.Since(begun) != time.Second {
			t.Errorf("got %v, the last after %v", d.sets, time.Since(begun))
		}
	})
}

// Who becomes due while a set is being done is in the next one.
func TestPatienceEndsWhileASetIsDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(make(chan struct{}))
		_, first := crowd(t.Context(), d, 2)
		var late sync.WaitGroup
		for _, patience := range []time.Duration{time.Second, time.Hour} {
			late.Go(func() {
				if got, err := d.Within(t.Context(), patience, 4); got != 8 || err != nil {
					t.Errorf("Within(4) = %d, %v", got, err)
				}
			})
		}
		time.Sleep(2 * time.Second)
		close(d.gate)
		first()
		late.Wait()
		if len(d.sets) != 2 || !slices.Equal(d.sets[1], []int{4, 4}) {
			t.Errorf("got %v", d.sets)
		}
	})
}

// The leader's end is not the others': its set goes on, and it waits for its answer.
func TestASetOutlivesItsLeadersContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(make(chan struct{}))
		_, first := crowd(t.Context(), d, 2)
		ctx, cancel := context.WithCancel(t.Context())
		leader, second := crowd(ctx, d, 4)
		other, third := crowd(t.Context(), d, 6)
		d.gate <- struct{}{}
		synctest.Wait()
		cancel()
		close(d.gate)
		first()
		second()
		third()
		if got, err := leader[0](); got != 8 || err != nil {
			t.Errorf("the leader got %d, %v", got, err)
		}
		if got, err := other[0](); got != 12 || err != nil {
			t.Errorf("the other got %d, %v", got, err)
		}
	})
}

func TestAFailedSetIsEverybodysError(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]int{"Error": -1, "Panic": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(make(chan struct{}))
				results, finish := crowd(t.Context(), d, 2, 4, bad, 6)
				close(d.gate)
				finish()
				for i, want := range []bool{true, false, false, false} {
					if _, err := results[i](); (err == nil) != want {
						t.Errorf("%d: %v", i, err)
					}
				}
				if got, err := d.Do(t.Context(), 8); got != 16 || err != nil {
					t.Errorf("afterwards: %d, %v", got, err)
				}
			})
		})
	}
}
