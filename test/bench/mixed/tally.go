package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"m3o/test/bench/load"
)

// tally counts outcomes, by kind for the whole run and together for the time since the
// last sample.
type tally struct {
	mu      sync.Mutex
	begun   time.Time
	last    time.Time // when the last sample was taken
	kinds   map[string]*counts
	window  counts
	delays  []time.Duration // of the window
	strange []string        // the first complaints
}

// counts are outcomes by what matters of them.
type counts struct {
	calls    int64
	statuses map[int]int64 // by status; 0: no answer
	charged  int64         // micro-dollars, by what answers said
	wrong    int64         // not what they should have been
}

func newTally(now time.Time) *tally {
	return &tally{begun: now, last: now, kinds: map[string]*counts{}, window: counts{statuses: map[int]int64{}}}
}

// served are the calls that were answered with success.
func (c *counts) served() int64 { return c.statuses[http.StatusOK] }

// lost are the calls that no answer came to: they may have been served or not.
func (c *counts) lost() int64 { return c.statuses[0] }

func (c *counts) add(o outcome) {
	c.calls++
	c.statuses[o.status]++
	c.charged += o.price
	if o.err != nil {
		c.wrong++
	}
}

// add counts the outcome of a call.
func (t *tally) add(kind string, o outcome, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(kind).add(o)
	t.window.add(o)
	t.delays = append(t.delays, took)
	t.note(kind, o.err)
}

// complain counts something wrong that was no call.
func (t *tally) complain(kind string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(kind).wrong++
	t.window.wrong++
	t.note(kind, err)
}

func (t *tally) of(kind string) *counts {
	if t.kinds[kind] == nil {
		t.kinds[kind] = &counts{statuses: map[int]int64{}}
	}
	return t.kinds[kind]
}

// complaintsKept are as many as somebody reads.
const complaintsKept = 10

func (t *tally) note(kind string, err error) {
	if err != nil && len(t.strange) < complaintsKept {
		t.strange = append(t.strange, fmt.Sprintf("%s, after %v: %v", kind, time.Since(t.begun).Round(time.Second), err))
	}
}

// sample is how it went since the one before.
type sample struct {
	at     time.Duration // since the start
	counts counts
	rate   float64 // calls a second
	p99    time.Duration
	rss    int64 // bytes
}

// sample takes a sample, and begins the next window.
func (t *tally) sample(now time.Time, rss int64) sample {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.Sort(t.delays)
	s := sample{at: now.Sub(t.begun), counts: t.window, rate: float64(t.window.calls) / now.Sub(t.last).Seconds(), p99: load.Quantile(t.delays, 99), rss: rss}
	t.last, t.window, t.delays = now, counts{statuses: map[int]int64{}}, t.delays[:0]
	return s
}

// String is the sample as a line.
func (s sample) String() string {
	return fmt.Sprintf("%6v %8.0f/s   p99 %10v   RSS %s   %s", s.at.Round(time.Second), s.rate, s.p99.Round(time.Microsecond), load.Megabytes(s.rss), s.counts.errors())
}

// errors are the answers that were no success, by status.
func (c *counts) errors() string {
	var all []string
	for _, status := range slices.Sorted(maps.Keys(c.statuses)) {
		switch status {
		case http.StatusOK:
		case 0:
			all = append(all, fmt.Sprintf("no answer: %d", c.statuses[0]))
		default:
			all = append(all, fmt.Sprintf("%d: %d", status, c.statuses[status]))
		}
	}
	return strings.Join(append(all, fmt.Sprintf("wrong: %d", c.wrong)), "   ")
}
