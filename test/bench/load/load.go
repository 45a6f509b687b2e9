// Package load is what the benches share: servers as processes that are bound to a
// core, requests over kept connections that come as fast as they are answered or at a
// fixed rate, and what a process has used. Only the programs below test/bench import it.
package load

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
)

// The cores of the servers that are measured, and of the load. The upstream runs with
// the load: on the servers' core it would take from what is measured.
const (
	ServerCore = "0"
	LoadCore   = "1"
)

// The variables by which a bench tells the copies of itself what they are.
const (
	boundVariable    = "M3O_BENCH_BOUND"
	roleVariable     = "M3O_BENCH_ROLE"
	upstreamVariable = "M3O_BENCH_UPSTREAM"
)

// Main is the main of a bench. It runs the bench on the load's core, or one of the
// servers when this process was started as one, and ends the process when that fails.
func Main(bench func() error) {
	var err error
	switch role := Role(os.Getenv(roleVariable)); {
	case role != "":
		err = role.serve()
	case os.Getenv(boundVariable) != "":
		err = bench()
	default:
		err = bind()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// IsServer says whether this process was started as one of the servers, which Main is to run then.
func IsServer() bool { return os.Getenv(roleVariable) != "" }

// bind runs this program once more, bound to the core of the load.
func bind() error {
	if runtime.NumCPU() < 2 {
		return errors.New("two cores are needed: one for the servers, one for the load")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	again := exec.Command("taskset", append([]string{"-c", LoadCore, self}, os.Args[1:]...)...)
	again.Env = append(os.Environ(), boundVariable+"=1")
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	err = again.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(exit.ExitCode()) // it has said why
	}
	return err
}
