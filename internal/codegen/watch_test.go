package codegen_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"m3o/internal/codegen"
)

// said is how a run of a watch went.
type said struct {
	report codegen.Report
	err    error
}

// watched runs a watch whose clock is look, until the test ends.
func watched(t *testing.T, root string) (look func(), runs <-chan said) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ticks, results, ended := make(chan time.Time), make(chan said, 1), make(chan error)
	go func() {
		ended <- codegen.Watch(ctx, codegen.Options{Root: root}, ticks, func(r codegen.Report, err error) { results <- said{r, err} })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return func() { ticks <- time.Time{} }, results
}

func TestWatch_GeneratesAfterEachChange(t *testing.T) {
	t.Parallel()
	root := begun(t, "general: {host: thing}\n")
	look, runs := watched(t, root)
	if first := <-runs; first.err != nil || len(first.report.Files) == 0 {
		t.Errorf("at the start: %v", first)
	}
	nothing := func() {
		t.Helper()
		for range 3 {
			look()
		}
		select {
		case run := <-runs:
			if run.err != nil || run.report.String() != "" {
				t.Errorf("nothing has changed, and yet: %v", run)
			}
		default:
		}
	}
	nothing()
	write(t, root, map[string]string{"internal/thing/service.yaml": "general: {host: thing}\nfunctions: [{signature: F()}]\n"})
	look() // it has changed: is that all?
	look()
	if run := <-runs; run.err != nil || !strings.Contains(run.report.String(), "made internal/thing/thing.go: F") {
		t.Errorf("after a change: %v", run)
	}
	nothing()
	write(t, root, map[string]string{"internal/thing/service.yaml": "general: {host: thing}\nfunctions: [{signature: \"F(\"}]\n"})
	look()
	look()
	if run := <-runs; run.err == nil || !strings.Contains(run.err.Error(), "E-SIG") {
		t.Errorf("after a mistake: %v", run)
	}
	write(t, root, map[string]string{"internal/thing/service.yaml": "general: {host: thing}\nfunctions: [{signature: F()}, {signature: G()}]\n"})
	look()
	if err := os.Remove(filepath.Join(root, "internal/thing/doc.go")); err != nil {
		t.Fatal(err)
	}
	look() // still changing
	look()
	if run := <-runs; run.err != nil || !strings.Contains(run.report.String(), ": G\n") {
		t.Errorf("after it was mended: %v", run)
	}
}
