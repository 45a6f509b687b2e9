package fault_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"m3o/internal/fault"
)

func TestStatusAndBack(t *testing.T) {
	t.Parallel()
	for _, code := range []fault.Code{
		fault.Invalid, fault.Unauthenticated, fault.PaymentRequired, fault.Forbidden, fault.NotFound, fault.BadMethod, fault.Conflict, fault.Gone,
		fault.TooLarge, fault.Unprocessable, fault.Limited, fault.Internal, fault.Unimplemented, fault.BadGateway, fault.Unavailable, fault.Timeout, fault.Expired, fault.Loop,
	} {
		if got := fault.FromStatus(code.Status()); got != code {
			t.Errorf("FromStatus(%d) = %s, want %s", code.Status(), got, code)
		}
	}
	if got := fault.FromStatus(418); got != fault.Invalid {
		t.Errorf("an unknown 4xx is %s, want invalid", got)
	}
}

func TestWhatIsNotAFaultIsInternalAndSaysNothing(t *testing.T) {
	t.Parallel()
	cause := errors.New("pq: password authentication failed")
	f := fault.From(fmt.Errorf("read customer: %w", cause))
	if f.Code != fault.Internal || f.Detail != "internal error" {
		t.Errorf("got %s %q", f.Code, f.Detail)
	}
	if !errors.Is(f, cause) {
		t.Error("the log has lost the cause")
	}
}

// state is an error of PostgreSQL.
type state string

func (s state) Error() string    { return "FATAL (SQLSTATE " + string(s) + ")" }
func (s state) SQLState() string { return string(s) }

func TestWhatIsAwayIsUnavailableAndSaysNothing(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for name, test := range map[string]struct {
		err  error
		away bool
	}{
		"NobodyListens":      {refused, true},
		"BrokenOff":          {io.ErrUnexpectedEOF, true},
		"BadConnection":      {driver.ErrBadConn, true},
		"BeingStopped":       {state("57P01"), true},
		"AlreadyThere":       {state("23505"), false},
		"Defect":             {errors.New("no such column"), false},
		"OutOfTime":          {context.DeadlineExceeded, false},
		"SaidOtherwise":      {fault.Wrap(fault.NotFound, refused, "no such page"), false},
		"SaidToBeUnexpected": {fault.Wrap(fault.Internal, refused, "internal error"), false},
	} {
		err := fmt.Errorf("read customer: %w", test.err)
		f := fault.From(err)
		if fault.IsAway(err) != test.away || test.away && (f.Code != fault.Unavailable || f.RetryAfter == 0 || strings.Contains(f.Detail, test.err.Error())) {
			t.Errorf("%s: away %v, %s %q", name, fault.IsAway(err), f.Code, f.Detail)
		}
	}
}

func TestAFaultKeepsItsCodeWhenWrapped(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("settle hold: %w", fault.New(fault.NotFound, "lease %s does not exist", "lse_1"))
	if !fault.Is(err, fault.NotFound) {
		t.Errorf("code is %s", fault.CodeOf(err))
	}
	if fault.CodeOf(nil) != "" {
		t.Error("nil has a code")
	}
}
