package gateway

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"m3o/internal/usage/usageapi"
)

func TestWhatWaitsInAJournalGoesIntoAnother(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	served, err := openJournal(dir, SyncNone)
	if err != nil {
		t.Fatal(err)
	}
	open := openCallsAt(t, filepath.Join(dir, openFolder))
	recorded, err := served.append(callNamed(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := served.done(recorded, 1); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{2, 3} {
		if _, err := served.append(callNamed(n)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := open.mark(callNamed(4), nil); err != nil {
		t.Fatal(err)
	}
	waiting, err := ReadUnrecorded(dir)
	if err != nil || len(waiting.Served) != 2 || len(waiting.Open) != 1 {
		t.Fatalf("%+v %v, want two calls that are served and one that is open", waiting, err)
	}
	if oldest, found := waiting.Oldest(); !found || !oldest.Equal(callNamed(2).Time) {
		t.Errorf("the oldest is of %v %v", oldest, found)
	}

	other := t.TempDir()
	for range 2 { // a restore may be done again
		if err := RestoreUnrecorded(other, waiting); err != nil {
			t.Fatal(err)
		}
	}
	next, err := openJournal(other, SyncNone)
	if err != nil {
		t.Fatal(err)
	}
	files, err := next.leftovers()
	if err != nil || len(files) != 1 {
		t.Fatalf("the next start finds %v %v", files, err)
	}
	calls, err := readJournal(files[0])
	if err != nil || !slices.Equal(ids(calls), []string{"req_2", "req_3"}) {
		t.Errorf("the next start records %v %v", ids(calls), err)
	}
	if got := replayed(t, openCallsAt(t, filepath.Join(other, openFolder))); len(got) != 1 || got["req_4"] != 10 {
		t.Errorf("of open calls it records %v", got)
	}
	if err := RestoreUnrecorded(other, Unrecorded{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(other, restoredFile)); err == nil {
		t.Error("a restore of nothing leaves what an earlier one has put there")
	}
}

func ids(calls []usageapi.Call) (all []string) {
	for _, call := range calls {
		all = append(all, call.RequestID)
	}
	return all
}

func TestADamagedCallIsNotPutIntoAJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	line := strings.Replace(string(encodeLine(nil, callNamed(1))), "req_1", "req_2", 1)
	if err := RestoreUnrecorded(dir, Unrecorded{Served: []string{line}}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("%v", err)
	}
	if files, _ := os.ReadDir(dir); len(files) > 0 {
		t.Errorf("it has left %v", files)
	}
}

func TestNoJournalHoldsNothing(t *testing.T) {
	t.Parallel()
	waiting, err := ReadUnrecorded(filepath.Join(t.TempDir(), "none"))
	if _, found := waiting.Oldest(); err != nil || found || len(waiting.Served)+len(waiting.Open) > 0 {
		t.Errorf("%+v %v", waiting, err)
	}
}
