// Command bench measures m3o beside what somebody would write without it, in one run on
// one core, and prints one table with the ratios and their limits:
//
//	go run ./test/bench
//
// A function in m3o's process stands beside a bare chi handler with the same answer,
// and an API that m3o passes on beside chi with the standard library's proxy, both to
// the same upstream. The servers are processes of their own, bound to the first core.
// The load comes from this process, bound to the second, where the upstream is too: on
// the first it would take from what is measured. Rounds alternate, figures are medians,
// and what counts are the ratios. Latencies are taken at a fixed rate from the time at
// which each request was due, so that a slow answer delays nobody's clock.
//
// -sync says when m3o has served calls on the disk; with all, a table of the three ways
// is printed instead.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"m3o/test/bench/load"
)

func main() {
	rounds := flag.Int("rounds", 5, "rounds; figures are medians over them")
	length := flag.Duration("length", 3*time.Second, "length of a measurement")
	clients := flag.Int("clients", 16, "connections that ask for as much as they get")
	sync := flag.String("sync", "none", "m3o's --journal-sync: none, interval or always; all: a table of the three")
	flag.Parse()
	load.Main(func() error {
		return run(plan{rounds: *rounds, length: *length, clients: *clients, syncs: syncs(*sync)})
	})
}

// plan is what is measured, how long and how often.
type plan struct {
	rounds  int
	length  time.Duration
	clients int
	syncs   []string // the ways of m3o, each a process
}

// syncs are the ways that a flag means.
func syncs(flag string) []string {
	if flag == "all" {
		return []string{"none", "interval", "always"}
	}
	return []string{flag}
}

func (p plan) check() error {
	if p.rounds < 1 || p.length <= 0 || p.clients < 1 {
		return errors.New("-rounds, -length and -clients must be above 0")
	}
	for _, sync := range p.syncs {
		if !slices.Contains(syncs("all"), sync) {
			return fmt.Errorf("-sync %s: choose none, interval, always or all", sync)
		}
	}
	return nil
}

func run(p plan) error {
	if err := p.check(); err != nil {
		return err
	}
	s, err := start(p)
	if err != nil {
		return err
	}
	defer s.stop()
	r, err := measure(p, s)
	if err != nil {
		return err
	}
	if len(p.syncs) > 1 {
		return reportSyncs(os.Stdout, p, r)
	}
	return report(os.Stdout, p, s, r)
}
