package gateway

import (
	"context"
	"fmt"
	"os"
	"sync"

	"m3o/internal/usage/usageapi"
)

// markEvery is how many bytes of an answer may go out without being written down.
const markEvery = 1 << 20

// openCalls are served calls whose price is known when their answer ends. Until then
// each is written down in a journal of its own, before its answer begins and again
// with every markEvery bytes, at the price of what has been sent; then it goes the way
// of all served calls. A call that a killed process left here is recorded at the next
// start at its last price, unless it is recorded already.
type openCalls struct {
	journal *journal
	once    sync.Once // close
}

// mark writes a call down in place of what was written of it before, if anything was.
func (o *openCalls) mark(call usageapi.Call, before *segment) (*segment, error) {
	now, err := o.journal.append(call)
	if err != nil || before == nil {
		return now, err
	}
	return now, o.journal.done(before, 1)
}

// end says that a call is safe elsewhere.
func (o *openCalls) end(last *segment) error { return o.journal.done(last, 1) }

// close closes the journal; it may be called twice.
func (o *openCalls) close() (err error) {
	o.once.Do(func() { err = o.journal.close() })
	return err
}

// replay records what earlier processes have left. It comes after the journal of
// served calls, since a call that is recorded is not recorded again.
func (o *openCalls) replay(ctx context.Context, record func(context.Context, []usageapi.Call) error) error {
	files, err := o.journal.leftovers()
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	last := map[string]usageapi.Call{}
	for _, file := range files { // in the order in which they were begun
		calls, err := readJournal(file)
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		for _, call := range calls {
			last[call.RequestID] = call
		}
	}
	for _, call := range last { // there are few: those that were being answered
		if err := record(ctx, []usageapi.Call{call}); err != nil {
			return fmt.Errorf("record an open call: %w", err)
		}
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
	return nil
}
