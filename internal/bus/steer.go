package bus

import (
	"errors"
	"time"
)

// Schedule is how long a group waits after each failed try of an event. After
// the try that follows the last wait the event becomes a dead letter.
func Schedule() []time.Duration {
	return []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}
}

// Drop says that trying again cannot help: the event becomes a dead letter at
// once. Drop(nil) is nil.
func Drop(err error) error {
	if err == nil {
		return nil
	}
	return &dropError{err}
}

// After says to deliver the event again after d, at least a millisecond, and not
// to count this as a try: the handler waits for something and may do so for ever.
// After(d, nil) is nil.
func After(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return &afterError{err, max(d, time.Millisecond)}
}

// Steer reads a handler's error: whether to drop the event, or after how long it
// is to be delivered again without having cost a try. Neither means to back off.
// Buses call it.
func Steer(err error) (drop bool, after time.Duration) {
	var d *dropError
	var a *afterError
	switch {
	case errors.As(err, &d):
		return true, 0
	case errors.As(err, &a):
		return false, a.after
	}
	return false, 0
}

type dropError struct{ err error }

func (e *dropError) Error() string { return e.err.Error() }
func (e *dropError) Unwrap() error { return e.err }

type afterError struct {
	err   error
	after time.Duration
}

func (e *afterError) Error() string { return e.err.Error() }
func (e *afterError) Unwrap() error { return e.err }
