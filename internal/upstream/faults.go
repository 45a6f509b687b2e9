package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"m3o/internal/fault"
)

// errHTTP2 says that the server has chosen HTTP/2 on a connection meant for HTTP/1.1.
// Nothing was sent.
var errHTTP2 = errors.New("the server speaks HTTP/2")

// bodyError is that the caller's body could not be read, which is not the API's fault.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "read the request body: " + e.err.Error() }

func (e *bodyError) Unwrap() error { return e.err }

// unsentError is a failure before the request was sent completely.
type unsentError struct{ err error }

func (e *unsentError) Error() string { return "while the request body was sent: " + e.err.Error() }

func (e *unsentError) Unwrap() error { return e.err }

// faultOf says what became of a call that got no answer.
func faultOf(ctx context.Context, err error) error {
	var known *fault.Error
	var body *bodyError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.Wrap(fault.Timeout, err, "The API did not answer in time").WithID("v1")
	case errors.As(err, &body):
		return fault.Wrap(fault.Invalid, err, "The request body could not be read").WithID("v1")
	}
	return fault.Wrap(fault.BadGateway, err, "The API could not be reached").WithID("v1")
}

// blames says whether a call that got no answer speaks against the API. Neither a
// caller that went away does, nor one that was too slow to send its request.
func blames(ctx context.Context, err error) bool {
	var known *fault.Error
	var body *bodyError
	var unsent *unsentError
	switch {
	case errors.As(err, &known), errors.As(err, &body), errors.Is(ctx.Err(), context.Canceled):
		return false
	}
	return !errors.As(err, &unsent) || ctx.Err() == nil
}

// ejected is the answer of an API that is left alone for that long.
func ejected(wait time.Duration) error {
	return fault.New(fault.BadGateway, "The API could not be reached").WithID("v1").After(wait)
}

// checkMethod refuses what cannot be passed on.
func checkMethod(method string) error {
	if !isToken(method) || method == http.MethodConnect || method == http.MethodTrace {
		return fault.New(fault.BadMethod, "The API cannot be called with this method").WithID("v1")
	}
	return nil
}

// settle gives a context whose deadline has just passed the moment in which it says so:
// sockets know of a deadline a little earlier.
func settle(ctx context.Context, err error) error {
	var timeout net.Error
	if err == nil || !errors.As(err, &timeout) || !timeout.Timeout() {
		return err
	}
	bound := time.NewTimer(100 * time.Millisecond)
	defer bound.Stop()
	select {
	case <-ctx.Done():
	case <-bound.C:
	}
	return err
}
