package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"m3o/internal/money"
	"m3o/internal/usage/usageapi"
)

func callNamed(n int) usageapi.Call {
	return usageapi.Call{RequestID: fmt.Sprint("req_", n), CustomerID: "cus_a", Price: 10, Time: time.UnixMicro(int64(n)).UTC(), Lease: "lse_1", Quotas: []string{"qls_1"}}
}

func TestJournalGivesBackWhatWasWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, err := openJournal(dir, SyncNone)
	if err != nil {
		t.Fatal(err)
	}
	var want []usageapi.Call
	for n := range 3 {
		if _, err := j.append(callNamed(n)); err != nil {
			t.Fatal(err)
		}
		want = append(want, callNamed(n))
	}
	got, err := readJournal(j.active.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestJournalLineThatWasCutOffIsNotACall(t *testing.T) {
	t.Parallel()
	whole := encodeLine(nil, callNamed(1))
	for cut := range len(whole) {
		file := filepath.Join(t.TempDir(), "calls_x.log")
		if err := os.WriteFile(file, append(append([]byte{}, whole...), whole[:cut]...), 0o600); err != nil {
			t.Fatal(err)
		}
		calls, err := readJournal(file)
		if err != nil || len(calls) != 1 {
			t.Fatalf("cut at %d: %d calls, %v", cut, len(calls), err)
		}
	}
}

func TestJournalDamageIsNotTakenForACall(t *testing.T) {
	t.Parallel()
	whole := encodeLine(nil, callNamed(1))
	for at := range len(whole) - 1 {
		damaged := append([]byte{}, whole...)
		damaged[at] ^= 1
		if call, err := decodeLine(damaged); err == nil {
			t.Fatalf("a flipped bit at %d is read as %+v", at, call)
		}
	}
}

func TestJournalForgetsWhatIsRecorded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, err := openJournal(dir, SyncNone)
	if err != nil {
		t.Fatal(err)
	}
	first, err := j.append(callNamed(1))
	if err != nil {
		t.Fatal(err)
	}
	j.active.size = segmentSize // the next call begins another file
	second, err := j.append(callNamed(2))
	if err != nil || first == second {
		t.Fatalf("no rotation: %v", err)
	}
	if err := j.done(first, 1); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*.log")); len(files) != 1 {
		t.Fatalf("left are %v", files)
	}
	if err := j.done(second, 1); err != nil {
		t.Fatal(err)
	}
	if calls, err := readJournal(j.active.file.Name()); err != nil || len(calls) != 0 {
		t.Fatalf("left are %v, %v", calls, err)
	}
	if _, err := j.append(callNamed(3)); err != nil {
		t.Fatal(err)
	}
	if calls, err := readJournal(j.active.file.Name()); err != nil || len(calls) != 1 || calls[0].RequestID != "req_3" {
		t.Fatalf("after that: %+v, %v", calls, err)
	}
}

func TestJournalKeepsEveryCallOfManyWriters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, err := openJournal(dir, SyncNone)
	if err != nil {
		t.Fatal(err)
	}
	const writers, calls = 16, 200
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			for n := range calls {
				s, err := j.append(callNamed(w*calls + n))
				if err != nil {
					t.Error(err)
					return
				}
				if n%2 == 0 { // half of them are recorded at once; those that are not must stay
					if err := j.done(s, 1); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wait.Wait()
	left := map[string]bool{}
	files, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, file := range files {
		found, err := readJournal(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range found {
			left[call.RequestID] = true
		}
	}
	for n := 1; n < writers*calls; n += 2 {
		if !left[callNamed(n).RequestID] {
			t.Fatalf("call %d is lost", n)
		}
	}
}

func TestJournalThatCannotBeWrittenRefusesTheCall(t *testing.T) {
	t.Parallel()
	j, err := openJournal(t.TempDir(), SyncNone)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.active.file.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := j.append(callNamed(1)); err == nil {
		t.Fatal("a call was taken that is nowhere")
	}
	if _, err := j.append(callNamed(2)); err != nil {
		t.Fatalf("the next file does not work: %v", err)
	}
}

// FuzzLine writes calls with any texts and reads them back.
func FuzzLine(f *testing.F) {
	f.Add("req_1", "Demo.Paid", int64(10), int64(1), true)
	f.Add("\"\\\n", "Grüße 👋", int64(-1), int64(0), false)
	f.Add("\x00\x7f", "", int64(1<<62), int64(-1), true)
	f.Fuzz(func(t *testing.T, requestID, endpoint string, price, micro int64, free bool) {
		at := time.UnixMicro(micro % (1 << 55)).UTC()
		if !utf8.ValidString(requestID) || !utf8.ValidString(endpoint) || at.Year() < 0 || at.Year() > 9999 {
			t.Skip("JSON cannot say it")
		}
		want := usageapi.Call{RequestID: requestID, Endpoint: endpoint, Price: money.Micros(price), Time: at, Quotas: []string{requestID, endpoint}, Free: free}
		got, err := decodeLine(encodeLine(nil, want))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzDecodeLine reads anything without a panic.
func FuzzDecodeLine(f *testing.F) {
	f.Add(encodeLine(nil, callNamed(1)))
	f.Add([]byte("00000000 {}"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, line []byte) {
		if call, err := decodeLine(line); err == nil && len(line) < 10 {
			t.Fatalf("%q was read as %+v", line, call)
		}
	})
}

func TestJournal_IsSyncedWhenItSays(t *testing.T) {
	t.Parallel()
	for when, want := range map[Sync]struct{ before, after int64 }{SyncNone: {0, 0}, SyncInterval: {0, 1}, SyncAlways: {20, 20}} {
		t.Run(string(when), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				j, err := openJournal(t.TempDir(), when)
				if err != nil {
					t.Fatal(err)
				}
				var flushed atomic.Int64
				j.flush = func(f *os.File) error { flushed.Add(1); return f.Sync() }
				ctx, cancel := context.WithCancel(t.Context())
				var done sync.WaitGroup
				if when == SyncInterval {
					done.Go(func() { j.keepSynced(ctx, slog.New(slog.DiscardHandler)) })
				}
				for i := range 20 {
					if _, err := j.append(callNamed(i)); err != nil {
						t.Fatal(err)
					}
				}
				if got := flushed.Load(); got != want.before {
					t.Errorf("synced %d times when 20 calls were answered, want %d", got, want.before)
				}
				time.Sleep(3 * syncInterval)
				if got := flushed.Load(); got != want.after {
					t.Errorf("synced %d times a while later, want %d", got, want.after)
				}
				cancel()
				done.Wait()
				if calls, err := readJournal(j.active.file.Name()); err != nil || len(calls) != 20 {
					t.Errorf("%d calls, %v", len(calls), err)
				}
			})
		})
	}
}

func TestJournal_ACallThatCannotBeSyncedIsNotServed(t *testing.T) {
	t.Parallel()
	j, err := openJournal(t.TempDir(), SyncAlways)
	if err != nil {
		t.Fatal(err)
	}
	j.flush = func(*os.File) error { return errors.New("the disk is gone") }
	if _, err := j.append(callNamed(1)); err == nil {
		t.Error("the call is in the journal, as far as its caller knows")
	}
	if files, err := j.leftovers(); err != nil || len(files) != 0 {
		t.Errorf("%v are left behind, %v", files, err)
	}
	if calls, err := readJournal(j.active.file.Name()); err != nil || len(calls) != 0 {
		t.Errorf("%d calls are left behind, %v", len(calls), err)
	}
}
