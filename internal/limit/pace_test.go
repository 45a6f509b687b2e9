package limit

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

// admit counts how many of so many calls are admitted by one limit.
func admit(p *Pace, now int64, rate, calls int) (admitted int) {
	for range calls {
		if v := Admit(now, p, rate, &Pace{}, 0); v.Retry == 0 {
			admitted++
		}
	}
	return admitted
}

func TestAdmit_ABurstAndThenThePace(t *testing.T) {
	t.Parallel()
	var p Pace
	now := newClock().now().UnixNano()
	if n := admit(&p, now, 10, 50); n != 10 {
		t.Errorf("a burst of %d, want 10", n)
	}
	if v := Admit(now, &p, 10, &Pace{}, 0); v.Remaining[0] != 0 || v.Retry != 100*time.Millisecond {
		t.Errorf("a full limit answers %+v", v)
	}
	now += int64(300 * time.Millisecond)
	if n := admit(&p, now, 10, 50); n != 3 {
		t.Errorf("%d after 300 ms, want 3", n)
	}
	now -= int64(time.Hour) // the clock jumps back: a second begins anew, and only one
	if n := admit(&p, now, 10, 50); n != 10 {
		t.Errorf("%d after the clock jumped back, want 10", n)
	}
}

func TestAdmit_TheFirstSecondIsTheRate(t *testing.T) {
	t.Parallel()
	now := newClock().now().UnixNano()
	for rate := 1; rate <= 30_000; rate += 1 + rate/50 {
		if n := admit(&Pace{}, now, rate, rate+10); n != rate {
			t.Fatalf("a rate of %d admits %d at once", rate, n)
		}
	}
}

func TestAdmit_FromBothOrFromNeither(t *testing.T) {
	t.Parallel()
	var tier, key Pace
	now := newClock().now().UnixNano()
	for i, want := range []Verdict{
		{Remaining: [2]int{4, 1}}, {Remaining: [2]int{3, 0}},
		{Remaining: [2]int{3, 0}, Retry: 500 * time.Millisecond}, {Remaining: [2]int{3, 0}, Retry: 500 * time.Millisecond},
	} {
		if v := Admit(now, &tier, 5, &key, 2); v != want {
			t.Fatalf("call %d: got %+v, want %+v", i+1, v, want)
		}
	}
	if n := admit(&tier, now, 5, 10); n != 3 {
		t.Errorf("the tier admits %d more, want 3", n)
	}
	full := Verdict{Remaining: [2]int{0, 9}, Retry: 200 * time.Millisecond}
	if v := Admit(now, &tier, 5, &Pace{}, 9); v != full {
		t.Errorf("got %+v, want %+v", v, full)
	}
}

func TestReturn_GivesOneCallBack(t *testing.T) {
	t.Parallel()
	var tier, key Pace
	now := newClock().now().UnixNano()
	Return(now, &tier, 5, &key, 5)
	if n := admit(&tier, now, 5, 10); n != 5 {
		t.Errorf("a limit that had admitted nothing admits %d, want 5", n)
	}
	Return(now, &tier, 5, &key, 0)
	if n := admit(&tier, now, 5, 10); n != 1 {
		t.Errorf("%d after one was given back, want 1", n)
	}
}

// TestAdmitIsTakeOfOneCall holds the fast way to the general one.
func TestAdmitIsTakeOfOneCall(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var fast, general [2]Pace
		now := newClock().now().UnixNano()
		for range rapid.IntRange(1, 50).Draw(t, "calls") {
			now += rapid.OneOf(rapid.Int64Range(0, 1_000_000), rapid.Int64Range(-3e9, 3e9)).Draw(t, "nanoseconds")
			wishes := [2]wish{{fewest: 1, most: 1}, {fewest: 1, most: 1}}
			for i := range wishes {
				wishes[i].rate = rapid.OneOf(rapid.IntRange(0, 20), rapid.IntRange(1, 2_000_000)).Draw(t, "rate")
			}
			got := Admit(now, &fast[0], wishes[0].rate, &fast[1], wishes[1].rate)
			g := takeBoth(&general, now, wishes)
			if want := verdict(grant{g[0], g[1], g[2]}, grant{g[3], g[4], g[5]}); got != want {
				t.Fatalf("at %d for %v: got %+v, want %+v", now, wishes, got, want)
			}
			for i := range fast {
				if fast[i].ahead(now) != general[i].ahead(now) {
					t.Fatalf("at %d for %v the states differ: %v and %v", now, wishes, fast, general)
				}
			}
		}
	})
}

// TestRedisCountsAsGoDoes holds the two writings of the algorithm together: whatever is
// taken from two limits, at whatever times and rates, they say the same.
func TestRedisCountsAsGoDoes(t *testing.T) {
	t.Parallel()
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		checkScript(t, "redis://"+mini(t, newClock()).Addr())
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		checkScript(t, realRedis(t))
	})
}

func checkScript(t *testing.T, url string) {
	client := connect(t, url)
	run, name := scriptAt(t), prefix(t, client)
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		runs++
		keys := []string{fmt.Sprint(name, runs, "tier"), fmt.Sprint(name, runs, "key")}
		var paces [2]Pace
		now := newClock().now().UnixMicro()
		for range rapid.IntRange(1, 20).Draw(t, "takes") {
			now += rapid.OneOf(rapid.Int64Range(0, 1000), rapid.Int64Range(0, 2_000_000), rapid.Int64Range(-3_000_000, 0)).Draw(t, "microseconds")
			var wishes [2]wish
			for i := range wishes {
				wishes[i] = drawWish(t)
			}
			want := takeBoth(&paces, now*1000, wishes)
			args := []any{}
			for _, w := range wishes {
				args = append(args, w.rate, w.fewest, w.most)
			}
			got, err := run.Run(ctx, client, keys, append(args, now/1_000_000, now%1_000_000)...).Int64Slice()
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("at %d µs for %v Redis says %v, Go says %v", now, args, got, want)
			}
		}
	})
}

// wish is what is wanted of a limit.
type wish struct {
	rate         int
	fewest, most int64
}

func drawWish(t *rapid.T) wish {
	w := wish{rate: rapid.OneOf(rapid.IntRange(1, 20), rapid.IntRange(1, 2_000_000)).Draw(t, "rate")}
	w.fewest = rapid.SampledFrom([]int64{-2, -1, 1, 2, 3}).Draw(t, "fewest")
	w.most = w.fewest
	if w.fewest > 0 {
		w.most += rapid.Int64Range(0, 2000).Draw(t, "more")
	}
	return w
}

// takeBoth takes from both or from neither and answers as the script does.
func takeBoth(paces *[2]Pace, now int64, wishes [2]wish) (answer []int64) {
	var next [2]Pace
	var grants [2]grant
	for i, w := range wishes {
		next[i], grants[i] = paces[i].take(now, w.rate, w.fewest, w.most)
	}
	if refused := grants[0].wait > 0 || grants[1].wait > 0; !refused {
		*paces = next
	} else {
		for i, w := range wishes {
			_, kept := paces[i].take(now, w.rate, 0, 0)
			grants[i].taken, grants[i].remaining = 0, kept.remaining
		}
	}
	for _, g := range grants {
		answer = append(answer, g.taken, g.remaining, g.wait)
	}
	return answer
}

// scriptAt is the script at a time that the last two arguments say, without expiry.
func scriptAt(t *testing.T) *redis.Script {
	t.Helper()
	text := gcra
	for from, to := range map[string]string{
		"redis.call('TIME')":                              "{ARGV[#ARGV - 1], ARGV[#ARGV]}",
		", 'PX', math.max(math.ceil(ahead / 1000000), 1)": "",
	} {
		if strings.Count(text, from) != 1 {
			t.Fatalf("the script does not have %q once", from)
		}
		text = strings.Replace(text, from, to, 1)
	}
	return redis.NewScript(text)
}
