package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"m3o/internal/auth"
	"m3o/internal/fault"
	"m3o/internal/keys/keysapi"
	"m3o/internal/usage/usageapi"
)

// How served calls are recorded: after a moment, so that calls that come together
// are one transaction, in bounded batches; and how many may wait before admission
// stops.
const (
	recordLinger = 100 * time.Millisecond
	recordBatch  = 2000
	recordMost   = 100_000
	recordRetry  = 100 * time.Millisecond
	flushLimit   = 5 * time.Second
)

// recorder takes served calls through the journal into usage.
type recorder struct {
	journal *journal
	usage   usageapi.Service
	keys    keysapi.Service
	log     *slog.Logger

	queued   atomic.Int64 // len(waiting), for who holds no lock
	mu       sync.Mutex
	waiting  []waitingCall
	usual    int           // how many waited when the queue was emptied last
	begun    uint64        // calls taken in
	recorded uint64        // calls recorded, in the order they were taken in
	progress chan struct{} // closed and replaced when recorded grows

	wake  chan struct{} // something waits
	hurry chan struct{} // somebody waits for it
	stop  context.CancelFunc
	done  sync.WaitGroup
	once  sync.Once // shutdown
}

type waitingCall struct {
	usageapi.Call
	segment *segment
}

func newRecorder(j *journal, usage usageapi.Service, keys keysapi.Service, log *slog.Logger) *recorder {
	return &recorder{
		journal: j, usage: usage, keys: keys, log: log,
		progress: make(chan struct{}), wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
	}
}

// full says that too many calls wait: usage has been away for some time.
func (r *recorder) full() bool { return r.queued.Load() >= recordMost }

// add takes a served call in. When it returns nil the call is in the journal.
func (r *recorder) add(call usageapi.Call) error {
	segment, err := r.journal.append(call)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting == nil {
		r.waiting = make([]waitingCall, 0, r.usual+r.usual/4+1)
	}
	r.waiting = append(r.waiting, waitingCall{call, segment})
	r.queued.Store(int64(len(r.waiting)))
	r.begun++
	nudge(r.wake)
	return nil
}

// flush returns when every call that was taken in before is recorded.
func (r *recorder) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushLimit)
	defer cancel()
	r.mu.Lock()
	goal := r.begun
	for r.recorded < goal {
		progress := r.progress
		r.mu.Unlock()
		nudge(r.hurry)
		select {
		case <-ctx.Done():
			return fault.Wrap(fault.Unavailable, ctx.Err(), "served calls are waiting to be recorded")
		case <-progress:
		}
		r.mu.Lock()
	}
	r.mu.Unlock()
	return nil
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// start records what waits until stopped, and keeps journals synced that want it.
func (r *recorder) start(journals ...*journal) {
	ctx, cancel := context.WithCancel(auth.AsService(context.Background(), Host))
	r.stop = cancel
	r.done.Go(func() { r.run(ctx) })
	for _, j := range journals {
		if j.sync == SyncInterval {
			r.done.Go(func() { j.keepSynced(ctx, r.log) })
		}
	}
}

func (r *recorder) run(ctx context.Context) {
	linger := time.NewTimer(0)
	defer linger.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		linger.Reset(recordLinger)
		select {
		case <-ctx.Done():
			return
		case <-r.hurry:
		case <-linger.C:
		}
		r.drain(ctx)
	}
}

// drain records what waits. What comes meanwhile lingers in its turn, unless it
// fills a batch. A batch that cannot be recorded is tried again: its calls are
// safe in the journal.
func (r *recorder) drain(ctx context.Context) {
	for ctx.Err() == nil {
		batch := r.next()
		if len(batch) == 0 {
			return
		}
		if err := r.record(ctx, callsOf(batch)); err != nil {
			r.log.Error("served calls could not be recorded, trying again", "calls", len(batch), "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(recordRetry):
			}
			continue
		}
		if left := r.finish(batch); left < recordBatch {
			if left > 0 {
				nudge(r.wake)
			}
			return
		}
	}
}

// next are the calls to be recorded next; they stay in the queue until finish.
func (r *recorder) next() []waitingCall {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting[:min(len(r.waiting), recordBatch)]
}

func callsOf(batch []waitingCall) []usageapi.Call {
	calls := make([]usageapi.Call, len(batch))
	for i := range batch {
		calls[i] = batch[i].Call
	}
	return calls
}

// finish takes recorded calls out of the queue and of the journal, and says how
// many are left.
func (r *recorder) finish(batch []waitingCall) (left int) {
	perSegment := map[*segment]int{}
	for _, call := range batch {
		perSegment[call.segment]++
	}
	r.mu.Lock()
	r.waiting = r.waiting[len(batch):]
	if left = len(r.waiting); left == 0 {
		r.waiting, r.usual = nil, len(batch) // the array behind it can go
	}
	r.queued.Store(int64(left))
	r.recorded += uint64(len(batch))
	close(r.progress)
	r.progress = make(chan struct{})
	r.mu.Unlock()
	for s, n := range perSegment {
		if err := r.journal.done(s, n); err != nil {
			r.log.Error("a journal file could not be marked as recorded", "error", err)
		}
	}
	return left
}

// record hands calls to usage. Calls whose lease was closed before they came are
// handed in again without it: they were served, so they are charged late.
func (r *recorder) record(ctx context.Context, calls []usageapi.Call) error {
	refused, err := r.usage.Record(ctx, calls)
	if err != nil {
		return err
	}
	if len(refused) > 0 {
		if err := r.recordLate(ctx, calls, refused); err != nil {
			return err
		}
	}
	if err := r.keys.Touch(ctx, seen(calls)); err != nil {
		r.log.Warn("keys could not be marked as used", "error", err) // worth a note, not a call
	}
	return nil
}

func (r *recorder) recordLate(ctx context.Context, calls []usageapi.Call, refused []string) error {
	late := make(map[string]bool, len(refused))
	for _, requestID := range refused {
		late[requestID] = true
	}
	var again []usageapi.Call
	for _, call := range calls {
		if late[call.RequestID] {
			call.Lease = ""
			again = append(again, call)
		}
	}
	r.log.Warn("calls came after their lease was closed, charging them late", "calls", len(again))
	_, err := r.usage.Record(ctx, again)
	return err
}

// seen is the last use of each key.
func seen(calls []usageapi.Call) []keysapi.Seen {
	last := map[string]time.Time{}
	for _, call := range calls {
		if call.Time.After(last[call.KeyID]) {
			last[call.KeyID] = call.Time
		}
	}
	list := make([]keysapi.Seen, 0, len(last))
	for keyID, at := range last {
		list = append(list, keysapi.Seen{KeyID: keyID, Time: at})
	}
	return list
}

// replay records what earlier processes left in the journal.
func (r *recorder) replay(ctx context.Context) error {
	files, err := r.journal.leftovers()
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	for _, file := range files {
		calls, err := readJournal(file)
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		for len(calls) > 0 {
			n := min(len(calls), recordBatch)
			if err := r.record(ctx, calls[:n]); err != nil {
				return fmt.Errorf("record the journal %s: %w", file, err)
			}
			calls = calls[n:]
		}
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
	return nil
}

// shutdown records what waits, as far as ctx allows, and stops; once.
func (r *recorder) shutdown(ctx context.Context) (err error) {
	r.once.Do(func() {
		err = r.flush(ctx)
		if r.stop != nil {
			r.stop()
		}
		r.done.Wait()
		err = errors.Join(err, r.journal.close())
	})
	return err
}
