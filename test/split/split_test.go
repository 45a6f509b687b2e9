// Package split runs the built binary as an operator does who has outgrown one machine: several processes over NATS,
// Postgres and Redis. It holds them to what one process promises (the journey, exactness, the books) and then takes the
// ground away under load: processes are killed, engines are restarted, links are cut, held and slowed down.
//
// Every test has engines of its own, so that its faults hurt nobody else: a Postgres cluster, a NATS server with
// JetStream, which is this test binary started again, and a Redis. M3O_TEST_REQUIRE=1 makes it a failure that the
// programs of one are not installed, M3O_TEST_BINARY a binary to run instead of building one. -faults or M3O_TEST_LONG=1 runs the whole list, and -report FILE writes its figures.
package split

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

var (
	faultsFlag = flag.Bool("faults", false, "run the whole list of faults, which takes some minutes")
	reportFlag = flag.String("report", "", "write the figures of the faults to this file, as Markdown")
)

// long says whether the whole list runs.
func long() bool { return *faultsFlag || os.Getenv("M3O_TEST_LONG") == "1" }

func TestMain(m *testing.M) {
	if store := os.Getenv(natsStore); store != "" {
		os.Exit(serveNATS(store))
	}
	flag.Parse()
	code := m.Run()
	if *reportFlag != "" && code == 0 {
		if err := results.write(*reportFlag); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if path, err := binary(); err == nil && os.Getenv("M3O_TEST_BINARY") == "" {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// binary builds the program once a test run, unless M3O_TEST_BINARY names one.
var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("M3O_TEST_BINARY"); path != "" {
		return filepath.Abs(path)
	}
	dir, err := os.MkdirTemp("", "m3o-split")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "m3o")
	args := []string{"build", "-o", path}
	if os.Getenv("M3O_TEST_RACE") == "1" {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "../../cmd/m3o")...).CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("build m3o: %w\n%s", err, out), os.RemoveAll(dir))
	}
	return path, nil
})

// eventually polls until ok, and fails the test at the limit.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	if !within(t.Context(), limit, ok) {
		t.Fatalf("waiting for %s: it took longer than %v", what, limit)
	}
}

// within polls until ok; false when that took longer than the limit.
func within(ctx context.Context, limit time.Duration, ok func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// last is how long a fault lasts: its time goes by while the load goes on.
func last(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal("the test has ended in the midst of a fault")
	}
}

// missing ends a test that cannot run here: as a failure where everything has to be there.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("M3O_TEST_REQUIRE") == "1" {
		t.Fatalf("%s, and M3O_TEST_REQUIRE wants it", what)
	}
	t.Skip(what)
}
