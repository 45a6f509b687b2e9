package bus

import (
	"errors"
	"net/http"
)

// Elsewhere is a handler that leads to another process.
type Elsewhere interface {
	http.Handler

	// Try is ServeHTTP that may fail before anything has been executed or written: then
	// another replica is tried with the same request, and the error is the answer if
	// there is none. Gone says that there is nobody any more where it leads, which is as
	// if nobody had been there.
	Try(w http.ResponseWriter, r *http.Request) error
}

// Aborter is a http.ResponseWriter that can take back an answer which has begun. One
// that cannot is left by a panic with http.ErrAbortHandler, as net/http wants it.
type Aborter interface {
	// Abort answers with err in place of what was written so far.
	Abort(r *http.Request, err error)
}

var errGone = errors.New("there is nobody any more")

// Gone is the error of Elsewhere.Try.
func Gone() error { return errGone }

// worse is of two errors the one to answer with: that nobody is there says the least.
func worse(before, err error) error {
	if errors.Is(err, errGone) {
		return before
	}
	return err
}
