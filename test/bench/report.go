package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"m3o/test/bench/load"
)

// names are the sides of a pair, for people.
var names = [2]string{"what m3o is compared with", "m3o"}

// limits are what a pair has to reach: floor is the least, aim what is wanted.
type limits struct {
	floor, aim float64       // of m3o's rate to the other's
	added      time.Duration // at most, of m3o's p99 above the other's
}

// own and passed are the limits of a function in m3o's process, and of an API that it
// passes on.
var (
	own    = limits{floor: 0.60, aim: 0.80, added: time.Millisecond}
	passed = limits{floor: 0.85, aim: 1.30, added: 250 * time.Microsecond}
)

// The limits of m3o as a program.
const (
	startLimit  = time.Second
	memoryLimit = 60e6
	binaryLimit = 60e6
)

// table writes rows of both pairs: what m3o is compared with, m3o, what they make of
// each other, and the limit of that.
type table struct {
	*tabwriter.Writer
	own, passed *pair
}

// report prints the table: each figure beside its limit.
func report(w io.Writer, p plan, s *servers, r results) error {
	t := table{tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight), r.pairs[0], r.pairs[1]}
	fmt.Fprintf(t, "one core, medians of %d, sync %s\t(a) bare chi\t(c) m3o\tc to a\tlimit\t(b) chi proxy\t(d) m3o\td to b\tlimit\t\n", p.rounds, p.syncs[0])
	t.rates()
	t.row("of its core in use", func(r []round) string { return fmt.Sprintf("%.0f %%", 100*median(r, busy)) })
	t.processor()
	t.row("allocations a call", func(r []round) string { return fmt.Sprintf("%.0f", median(r, allocations)) })
	t.delays()
	t.memory(s, r)
	g := s.gateways[0]
	t.alone("start, to the first answer", micros(g.Started.Round(time.Millisecond)), "under 1s", g.Started < startLimit)
	t.alone("binary, stripped", load.Megabytes(s.binary.Size), "under 60 MB", s.binary.Size < binaryLimit)
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n(e) the upstream called directly, on the load's core together with the load: %.0f calls a second.\n", middle(r.direct))
	return err
}

func (t table) rates() {
	count := func(r []round) string { return fmt.Sprintf("%.0f", median(r, rate)) }
	fmt.Fprint(t, "calls a second")
	for i, p := range []*pair{t.own, t.passed} {
		l := []limits{own, passed}[i]
		limit := fmt.Sprintf("at least %.2f, aim %.2f", l.floor, l.aim)
		fmt.Fprintf(t, "\t%s\t%s\t%.2f ×\t%s", count(p.rounds[base]), count(p.rounds[ofM3O]), p.ratio(), marked(limit, p.ratio() >= l.floor))
	}
	fmt.Fprint(t, "\t\n")
}

// processor has a ratio, too: it holds where the load's core was used up first.
func (t table) processor() {
	fmt.Fprint(t, "processor a call")
	for _, p := range []*pair{t.own, t.passed} {
		a, b := median(p.rounds[base], processor), median(p.rounds[ofM3O], processor)
		fmt.Fprintf(t, "\t%s\t%s\t%.2f ×\t", micros(a), micros(b), float64(b)/float64(a))
	}
	fmt.Fprint(t, "\t\n")
}

// delays are at a fixed rate, half of what m3o reaches in the pair.
func (t table) delays() {
	t.row("p50 at half load", func(r []round) string { return micros(median(r, p50)) })
	fmt.Fprint(t, "p99 at half load")
	for i, p := range []*pair{t.own, t.passed} {
		most := []limits{own, passed}[i].added
		fmt.Fprintf(t, "\t%s\t%s\t%s\t%s", micros(median(p.rounds[base], p99)), micros(median(p.rounds[ofM3O], p99)), signed(p.added()),
			marked("at most "+signed(most), p.added() <= most))
	}
	fmt.Fprint(t, "\t\n")
}

// memory is of processes, so m3o's is that of both its sides.
func (t table) memory(s *servers, r results) {
	m3o := s.gateways[0].Server
	fmt.Fprintf(t, "memory, idle\t%s\t%s\t\t%s\t%s\t%s\t\t\t\n", load.Megabytes(s.idle[s.bare]), load.Megabytes(s.idle[m3o]),
		marked("under 60 MB", s.idle[m3o] < memoryLimit), load.Megabytes(s.idle[s.proxy]), "as (c)")
	fmt.Fprintf(t, "memory, after the load\t%s\t%s\t\t\t%s\t%s\t\t\t\n", load.Megabytes(r.loaded[s.bare]), load.Megabytes(r.loaded[m3o]), load.Megabytes(r.loaded[s.proxy]), "as (c)")
}

// row is a figure that has no limit.
func (t table) row(name string, of func([]round) string) {
	a, b := t.own.rounds, t.passed.rounds
	fmt.Fprintf(t, "%s\t%s\t%s\t\t\t%s\t%s\t\t\t\n", name, of(a[base]), of(a[ofM3O]), of(b[base]), of(b[ofM3O]))
}

// alone is a figure that only m3o has.
func (t table) alone(name, value, limit string, kept bool) {
	fmt.Fprintf(t, "%s\t\t%s\t\t%s\t\t\t\t\t\n", name, value, marked(limit, kept))
}

// reportSyncs prints the table of the ways in which served calls get on the disk.
func reportSyncs(w io.Writer, p plan, r results) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "one core, medians of %d\t(c) m3o\tc to a\tp50\tp99\tadded\t(d) m3o\td to b\tp50\tp99\tadded\t\n", p.rounds)
	for i, sync := range p.syncs {
		fmt.Fprint(t, sync)
		for _, pair := range r.pairs[2*i : 2*i+2] {
			m := pair.rounds[ofM3O]
			fmt.Fprintf(t, "\t%.0f\t%.2f ×\t%s\t%s\t%s", median(m, rate), pair.ratio(), micros(median(m, p50)), micros(median(m, p99)), signed(pair.added()))
		}
		fmt.Fprint(t, "\t\n")
	}
	return t.Flush()
}

// marked says beside a limit that it is not kept.
func marked(limit string, kept bool) string {
	if kept {
		return limit
	}
	return limit + ": short"
}

func micros(d time.Duration) string { return d.Round(time.Microsecond).String() }

func signed(d time.Duration) string {
	if d < 0 {
		return "- " + micros(-d)
	}
	return "+ " + micros(d)
}
