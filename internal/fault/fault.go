// Package fault owns the house's error type and its closed list of codes.
//
// A fault is an error that somebody outside may see: it has a code that one
// table maps to an HTTP status, and a sentence that says what is wrong and how
// to mend it. Whatever is not a fault is internal: it is logged once, at the
// edge, and its text never leaves the process.
//
// Everybody may import fault; it imports nothing of ours.
package fault

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// Code says what kind of fault it is. The list is closed: both ends of a call
// between processes share it.
type Code string

// The codes, each with the HTTP status that Status gives it.
const (
	Invalid         Code = "invalid"          // 400
	Unauthenticated Code = "unauthenticated"  // 401
	PaymentRequired Code = "payment_required" // 402
	Forbidden       Code = "forbidden"        // 403
	NotFound        Code = "not_found"        // 404
	BadMethod       Code = "bad_method"       // 405
	Expired         Code = "expired"          // 408; the caller's own time was over: the call may have been executed
	Conflict        Code = "conflict"         // 409
	Gone            Code = "gone"             // 410
	TooLarge        Code = "too_large"        // 413
	Unprocessable   Code = "unprocessable"    // 422
	Limited         Code = "limited"          // 429
	Internal        Code = "internal"         // 500
	Unimplemented   Code = "unimplemented"    // 501
	BadGateway      Code = "bad_gateway"      // 502
	Unavailable     Code = "unavailable"      // 503; the call may have been executed
	Timeout         Code = "timeout"          // 504; the call may have been executed
	Loop            Code = "loop"             // 508; services call each other in a circle
)

// statuses is the one table from codes to HTTP statuses.
var statuses = map[Code]int{
	Invalid: 400, Unauthenticated: 401, PaymentRequired: 402, Forbidden: 403, NotFound: 404,
	BadMethod: 405, Expired: 408, Conflict: 409, Gone: 410, TooLarge: 413, Unprocessable: 422, Limited: 429,
	Internal: 500, Unimplemented: 501, BadGateway: 502, Unavailable: 503, Timeout: 504, Loop: 508,
}

// Status is the HTTP status of the code; 500 for a code that is not ours.
func (c Code) Status() int {
	if s, ok := statuses[c]; ok {
		return s
	}
	return 500
}

// FromStatus is the inverse of Status, so that a client returns the code the
// service gave. A status of no code of ours becomes Invalid when it is a 4xx,
// else Internal.
func FromStatus(status int) Code {
	for c, s := range statuses {
		if s == status {
			return c
		}
	}
	if status >= 400 && status < 500 {
		return Invalid
	}
	return Internal
}

// Field names one wrong field of a request.
type Field struct {
	Name   string `json:"name"`   // as the caller wrote it, e.g. "email" or "api.pricing"
	Detail string `json:"detail"` // what is wrong and how to mend it
}

// Error is a fault.
type Error struct {
	Code       Code
	ID         string        // M3O's dotted id, e.g. "v1.blocked"; empty: the edge puts the service's name
	Detail     string        // a sentence for the caller
	RetryAfter time.Duration // when trying again may help; 0: not said
	Fields     []Field
	Extra      map[string]any // further members of the problem document, e.g. balance and price of a 402
	HTTP       int            // another HTTP status than the code's, such as 418; 0: the code's own
	Trace      []Frame        // where it was before it came here from another process; the deepest first
	Err        error          // the cause, for the log only

	pc uintptr // where it was made; 0: not known
}

// New makes a fault; the detail is formatted as fmt.Sprintf does.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...), pc: caller(1)}
}

// BadField is an Invalid fault about one field of the request.
func BadField(name, format string, args ...any) *Error {
	detail := fmt.Sprintf(format, args...)
	return &Error{Code: Invalid, Detail: name + ": " + detail, Fields: []Field{{Name: name, Detail: detail}}, pc: caller(1)}
}

// Wrap makes a fault of a cause that only the log shall see.
func Wrap(code Code, err error, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...), Err: err, pc: caller(1)}
}

// WithID sets M3O's dotted id and returns the same fault.
func (e *Error) WithID(id string) *Error {
	e.ID = id
	return e
}

// WithStatus sets another HTTP status than the code's and returns the same fault.
func (e *Error) WithStatus(status int) *Error {
	e.HTTP = status
	return e
}

// Status is the HTTP status to answer with.
func (e *Error) Status() int {
	if e.HTTP != 0 {
		return e.HTTP
	}
	return e.Code.Status()
}

// After sets when trying again may help and returns the same fault.
func (e *Error) After(d time.Duration) *Error {
	e.RetryAfter = d
	return e
}

// With adds a member to the problem document and returns the same fault.
func (e *Error) With(name string, value any) *Error {
	if e.Extra == nil {
		e.Extra = map[string]any{}
	}
	e.Extra[name] = value
	return e
}

func (e *Error) Error() string {
	s := string(e.Code) + ": " + e.Detail
	if e.ID != "" {
		s = e.ID + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// IsAway says that err, which nobody has made a fault of, comes from something that this
// process is connected to and that does not answer or takes nobody now, such as a database
// that is restarted. It is no defect of ours, and passes.
func IsAway(err error) bool {
	if _, ok := errors.AsType[*Error](err); ok || errors.Is(err, context.DeadlineExceeded) { // which is a net.Error as well
		return false
	}
	if refusal, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		return slices.Contains(takesNobody(), refusal.SQLState())
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, driver.ErrBadConn)
}

// takesNobody are the states of PostgreSQL in which it is being stopped, has crashed, is
// starting, or has as many connections as it may (its manual, appendix A).
func takesNobody() []string { return []string{"57P01", "57P02", "57P03", "53300"} }

// From finds the fault in err's chain; what holds none is Internal, or Unavailable where
// something is away (IsAway), with err as its cause and a detail that says nothing of it.
func From(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if IsAway(err) {
		return &Error{Code: Unavailable, Detail: "something that this needs does not answer, try again in a moment", RetryAfter: time.Second, Err: err}
	}
	return &Error{Code: Internal, Detail: "internal error", Err: err}
}

// Restate is the fault in err's chain with another id. It remembers where err has been.
func Restate(err error, id string) *Error {
	e := *From(err)
	e.ID, e.Trace, e.pc = id, Stack(err), 0
	return &e
}

// CodeOf is the code of the fault in err's chain, Internal when there is none,
// and empty for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return From(err).Code
}

// Is says whether err's chain holds a fault of that code.
func Is(err error, code Code) bool { return err != nil && CodeOf(err) == code }
