package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"m3o/internal/fault"
	"m3o/internal/problem"
)

// timeoutHeader is in which a caller says how many seconds it waits.
const timeoutHeader = "Request-Timeout"

// longestBudget is the most that a caller can ask for; what serves the call may
// allow less.
const longestBudget = time.Hour

// budget ends the context of a call when its caller's time is over. A failure that
// comes then is fault.Timeout, whatever it says it is.
func budget(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := r.Header.Get(timeoutHeader)
		if text == "" {
			next.ServeHTTP(w, r)
			return
		}
		limit, ok := seconds(text)
		if !ok {
			problem.Write(w, r, fault.BadField(timeoutHeader, "write how many seconds you wait, more than 0, such as 5 or 0.5").WithID("edge"))
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		r = r.WithContext(ctx)
		answer := &timed{ResponseWriter: w, request: r, limit: limit}
		next.ServeHTTP(answer, r)
		if !answer.begun && answer.isOver() {
			answer.replace()
		}
	})
}

// seconds reads a number of seconds in digits, with or without a decimal point.
func seconds(text string) (time.Duration, bool) {
	whole, _, _ := strings.Cut(text, ".")
	if strings.Trim(text, "0123456789.") != "" || whole == "" {
		return 0, false
	}
	if len(whole) > 9 { // more than a duration holds, and more than anybody waits
		return longestBudget, true
	}
	d, err := time.ParseDuration(text + "s")
	return min(d, longestBudget), err == nil && d > 0
}

// timed is the answer of a call whose time is limited.
type timed struct {
	http.ResponseWriter
	request *http.Request
	limit   time.Duration
	begun   bool
	dropped bool // the body that the handler writes is not the caller's to see
}

func (t *timed) isOver() bool { return errors.Is(t.request.Context().Err(), context.DeadlineExceeded) }

// replace answers in place of a failure that comes from the end of the time.
func (t *timed) replace() {
	t.begun, t.dropped = true, true
	for _, name := range []string{"Content-Encoding", "Etag", "Last-Modified", "Retry-After"} {
		t.Header().Del(name)
	}
	problem.Write(t.ResponseWriter, t.request, fault.New(fault.Timeout, "there was no answer within %s", t.limit).WithID("edge"))
}

// WriteHeader lets an answer begin, unless it is a failure after the end of the time.
func (t *timed) WriteHeader(status int) {
	if t.dropped {
		return
	}
	if !t.begun && t.isOver() && (status == http.StatusRequestTimeout || status >= 500) {
		t.replace()
		return
	}
	t.begun = t.begun || status >= 200 || status == http.StatusSwitchingProtocols
	t.ResponseWriter.WriteHeader(status)
}

func (t *timed) Write(b []byte) (int, error) {
	if t.dropped {
		return len(b), nil
	}
	t.begun = true
	return t.ResponseWriter.Write(b)
}

// FlushError sends what was written so far; flushing begins the answer.
func (t *timed) FlushError() error {
	if t.dropped {
		return nil
	}
	t.begun = true
	return http.NewResponseController(t.ResponseWriter).Flush()
}

// Flush is FlushError for handlers that ask in the old way.
func (t *timed) Flush() { _ = t.FlushError() }

// Unwrap gives http.ResponseController the connection's own writer.
func (t *timed) Unwrap() http.ResponseWriter { return t.ResponseWriter }
