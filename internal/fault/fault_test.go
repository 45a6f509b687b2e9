package fault_test

import (
	"errors"
	"fmt"
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
