// Command model measures the service model in one process and prints each figure
// beside its limit:
//
//	go run ./test/bench/model
//
// Run it from the module's root, on a quiet machine. Figures are the medians of
// several runs of Go's own benchmarks.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"text/tabwriter"
	"time"
)

// figure is something to measure, with its limits.
type figure struct {
	name   string
	limit  time.Duration
	allocs int64 // at most; 0: no limit
	run    func(b *testing.B)
}

func main() {
	rounds := flag.Int("rounds", 5, "runs of each benchmark; figures are medians over them")
	testing.Init()
	flag.Parse()
	if err := report(*rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func report(rounds int) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "in one process, medians of %d\t\tlimit\tallocations\tlimit\t\t\n", rounds)
	for _, f := range slices.Concat(calls(), generator()) {
		took, allocs, err := f.measure(rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		verdict, most := "", "-"
		if f.allocs > 0 {
			most = fmt.Sprint(f.allocs)
		}
		if took > f.limit || f.allocs > 0 && allocs > f.allocs {
			verdict = "over"
		}
		fmt.Fprintf(t, "%s\t%v\t%v\t%d\t%s\t%s\t\n", f.name, short(took), f.limit, allocs, most, verdict)
	}
	lines, declarations, err := generatedLines()
	if err != nil {
		return err
	}
	fmt.Fprintf(t, "generated Go lines a declaration\t%d\t150\t\t\t\t\n", lines/declarations)
	return t.Flush()
}

// measure is the median time and the allocations of one operation.
func (f figure) measure(rounds int) (took time.Duration, allocs int64, err error) {
	times := make([]time.Duration, 0, rounds)
	for range rounds {
		r := testing.Benchmark(f.run)
		if r.N == 0 {
			return 0, 0, fmt.Errorf("the benchmark failed")
		}
		times = append(times, time.Duration(float64(r.T.Nanoseconds())/float64(r.N)))
		allocs = r.AllocsPerOp()
	}
	slices.Sort(times)
	return times[len(times)/2], allocs, nil
}

// short keeps three digits or so.
func short(d time.Duration) time.Duration {
	switch {
	case d > time.Millisecond:
		return d.Round(10 * time.Microsecond)
	case d > 10*time.Microsecond:
		return d.Round(100 * time.Nanosecond)
	}
	return d
}
