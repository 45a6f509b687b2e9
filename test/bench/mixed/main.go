// Command mixed keeps m3o under a constant load of many kinds and checks afterwards that
// what was answered, what was recorded and what was charged are the same:
//
//	go run ./test/bench/mixed -for 20m
//
// Functions in m3o's process, an API that it passes on, streams and WebSockets are
// called at a fixed rate, calls that cannot be paid, of APIs that are not there and with
// keys that are not good between them; keys come and go. Every ten seconds a line on
// standard error says how it goes; at the end there is a report in Markdown on standard
// output. The exit code is not 0 when the reconciliation fails. Servers and load are
// bound to a core each, as in the bench.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"m3o/test/bench/load"
)

func main() {
	length := flag.Duration("for", 2*time.Minute, "how long")
	rate := flag.Int("rate", 1000, "calls a second")
	sync := flag.String("sync", "none", "m3o's --journal-sync: none, interval or always")
	flag.Parse()
	load.Main(func() error { return run(plan{length: *length, rate: *rate, sync: *sync}) })
}

// plan is how long and how much is called.
type plan struct {
	length time.Duration
	rate   int // calls a second
	sync   string
}

func run(p plan) error {
	if p.length <= 0 || p.rate < 1 {
		return errors.New("-for and -rate must be above 0")
	}
	dir, err := os.MkdirTemp("", "m3o-mixed-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	h, err := start(p, dir)
	if err != nil {
		return err
	}
	defer h.stop()
	samples, err := h.load(p)
	if err != nil {
		return err
	}
	books, err := h.reconcile(filepath.Join(dir, place, "data"))
	if err != nil {
		return fmt.Errorf("reconcile: %w", err)
	}
	report(os.Stdout, p, h, samples, books)
	if len(books.complaints()) > 0 {
		return errors.New("the reconciliation has failed")
	}
	return nil
}
