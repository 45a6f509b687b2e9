// Command bench measures the gateway beside a bare chi handler with the same
// answer, in one run on one core, and prints one table:
//
//	go run ./test/bench
//
// Both servers are processes of their own, bound to the first core; the load comes
// from this process, bound to the second. Rounds alternate, figures are medians, and what
// counts are the ratios. Latencies are taken at a fixed rate from the time at
// which each request was due, so that a slow answer delays nobody's clock.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 5, "rounds; figures are medians over them")
	length := flag.Duration("length", 3*time.Second, "length of a measurement")
	clients := flag.Int("clients", 16, "connections that ask for as much as they get")
	bare := flag.Bool("bare", false, "be the bare handler (used by the bench itself)")
	flag.Parse()
	if err := run(*bare, plan{rounds: *rounds, length: *length, clients: *clients}); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// plan is how long and how often is measured.
type plan struct {
	rounds  int
	length  time.Duration
	clients int
}

func run(bare bool, p plan) error {
	if bare {
		return serveBare()
	}
	if os.Getenv(boundVariable) == "" {
		return bind()
	}
	servers, err := start()
	if err != nil {
		return err
	}
	defer servers.stop()
	results, err := measure(p, servers)
	if err != nil {
		return err
	}
	return report(os.Stdout, results, servers)
}

// The cores of the servers and of the load, and what tells a bound process.
const (
	serverCore    = "0"
	loadCore      = "1"
	boundVariable = "M3O_BENCH_BOUND"
)

// bind runs this program once more, bound to the core of the load.
func bind() error {
	if runtime.NumCPU() < 2 {
		return errors.New("two cores are needed: one for the servers, one for the load")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	again := exec.Command("taskset", append([]string{"-c", loadCore, self}, os.Args[1:]...)...)
	again.Env = append(os.Environ(), boundVariable+"=1")
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	return again.Run()
}
