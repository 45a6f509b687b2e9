package gateway

import (
	"context"
	"path/filepath"
	"testing"

	"m3o/internal/money"
	"m3o/internal/usage/usageapi"
)

func openCallsAt(t *testing.T, dir string) *openCalls {
	t.Helper()
	j, err := openJournal(dir, SyncNone)
	if err != nil {
		t.Fatal(err)
	}
	return &openCalls{journal: j}
}

// replayed are the prices at which calls are recorded, by request id.
func replayed(t *testing.T, o *openCalls) map[string]money.Micros {
	t.Helper()
	found := map[string]money.Micros{}
	err := o.replay(t.Context(), func(_ context.Context, calls []usageapi.Call) error {
		for _, call := range calls {
			if _, twice := found[call.RequestID]; twice {
				t.Errorf("%s is recorded twice", call.RequestID)
			}
			found[call.RequestID] = call.Price
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAnOpenCallIsLeftBehindAtItsLastPrice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := openCallsAt(t, dir)
	call := callNamed(1)
	var last *segment
	for price := range money.Micros(5) {
		call.Price = price
		var err error
		if last, err = o.mark(call, last); err != nil {
			t.Fatal(err)
		}
		if price == 2 { // the file is full
			o.journal.mu.Lock()
			o.journal.active.size = segmentSize
			o.journal.mu.Unlock()
		}
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*.log")); len(files) != 1 {
		t.Errorf("there are %v: a file without the last price of a call is not needed", files)
	}
	next := openCallsAt(t, dir)
	if got := replayed(t, next); len(got) != 1 || got["req_1"] != 4 {
		t.Errorf("left behind: %v", got)
	}
	if got := replayed(t, openCallsAt(t, t.TempDir())); len(got) != 0 {
		t.Errorf("out of nothing: %v", got)
	}
}

func TestAnOpenCallThatEndedIsNotLeftBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := openCallsAt(t, dir)
	last, err := o.mark(callNamed(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.end(last); err != nil {
		t.Fatal(err)
	}
	if got := replayed(t, openCallsAt(t, dir)); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
}
