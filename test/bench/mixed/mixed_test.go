package main

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"m3o/test/bench/load"
)

// memory are samples taken every ten seconds, in megabytes.
func memory(megabytes ...int64) (samples []sample) {
	for i, n := range megabytes {
		samples = append(samples, sample{at: time.Duration(i+1) * every, rss: n * 1e6})
	}
	return samples
}

func TestGrowthIsOfTheSecondHalf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		samples []sample
		want    float64
	}{
		"flat after a rise": {memory(10, 60, 90, 100, 100, 100), 0},
		"six a minute":      {memory(100, 100, 100, 99, 100, 101), 0.06},
		"shrinking":         {memory(1, 1, 1, 101, 100, 99), -0.06},
	} {
		if got, ok := growth(c.samples); !ok || math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %v %v, want %v", name, got, ok, c.want)
		}
	}
	if _, ok := growth(memory(1, 2, 3, 4)); ok {
		t.Error("two samples have a slope")
	}
}

func TestBooksComplainOfEachDifference(t *testing.T) {
	t.Parallel()
	right := page{kind: "k", served: 5, charged: 50, usage: 5, spent: 50, balance: 7, entries: 7, records: 5, price: 50}
	for name, c := range map[string]struct {
		change func(*books)
		want   string
	}{
		"right":              {func(*books) {}, ""},
		"answers":            {func(b *books) { b.pages[0].charged++ }, "k: what answers said they cost is 51"},
		"a call lost":        {func(b *books) { b.pages[0].served++; b.pages[0].charged += load.Price }, "k: usage is 5; it should be 6"},
		"perhaps served":     {func(b *books) { b.pages[0].served, b.pages[0].charged, b.pages[0].lost = 4, 40, 2 }, ""},
		"served twice":       {func(b *books) { b.pages[0].served, b.pages[0].charged, b.pages[0].lost = 3, 30, 1 }, "usage is 5; it should be from 3 to 4"},
		"records":            {func(b *books) { b.pages[0].records-- }, "k: the number of records is 4"},
		"balance":            {func(b *books) { b.pages[0].spent-- }, "k: what was spent is 49"},
		"price of records":   {func(b *books) { b.pages[0].price-- }, "k: what the records cost is 49"},
		"entries":            {func(b *books) { b.pages[0].entries++ }, "k: the sum of the ledger's entries is 8"},
		"ledger":             {func(b *books) { b.ledger = -1 }, "the ledger sums to -1"},
		"an account's total": {func(b *books) { b.mismatches = 1 }, "1 accounts are not"},
	} {
		b := books{pages: []page{right}}
		c.change(&b)
		got := strings.Join(b.complaints(), "\n")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestOutcomeIsHeldToWhatItShouldBe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		outcome outcome
		status  int
		right   bool
	}{
		{outcome{status: 200, price: load.Price}, 200, true},
		{outcome{status: 402}, 402, true},
		{outcome{status: 200}, 200, false},
		{outcome{status: 402, price: load.Price}, 402, false},
		{outcome{status: 200, price: load.Price}, 401, false},
		{outcome{status: 200, price: load.Price, err: errors.New("cut off")}, 200, false},
		{read([]byte(`{"message":"Hello John"}`)), 200, true},
		{read([]byte(`{"type":"t","status":402,"detail":"d"}`)), 402, true},
		{read([]byte(`{`)), 200, false},
	} {
		if o := c.outcome.as(c.status); (o.err == nil) != c.right {
			t.Errorf("%+v as %d: %v", c.outcome, c.status, o.err)
		}
	}
}

func TestTallySamplesWhatIsNew(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	into := newTally(begun)
	for range 19 {
		into.add("a", outcome{status: 200, price: 10}, time.Millisecond)
	}
	into.add("b", outcome{err: errors.New("gone")}, time.Second)
	first := into.sample(begun.Add(2*time.Second), 1)
	if first.rate != 10 || first.p99 != time.Second || first.counts.charged != 190 || first.counts.errors() != "no answer: 1   wrong: 1" {
		t.Errorf("%+v", first)
	}
	into.add("b", outcome{status: 402}, time.Millisecond)
	second := into.sample(begun.Add(3*time.Second), 1)
	if second.rate != 1 || second.p99 != time.Millisecond || second.counts.errors() != "402: 1   wrong: 0" {
		t.Errorf("%+v", second)
	}
	if a, b := into.of("a"), into.of("b"); a.served() != 19 || b.lost() != 1 || b.calls != 2 {
		t.Errorf("%+v %+v", a, b)
	}
	if len(into.strange) != 1 || !strings.HasSuffix(into.strange[0], "gone") {
		t.Errorf("%v", into.strange)
	}
}

func TestKindsShareTheWholeRate(t *testing.T) {
	t.Parallel()
	var sum float64
	var names []string
	for _, k := range kinds() {
		sum += k.share
		names = append(names, k.name)
	}
	if math.Abs(sum-1) > 1e-9 || !slices.Contains(names, noMoney) || !slices.Contains(names, badKey) {
		t.Errorf("%v add up to %v", names, sum)
	}
}
