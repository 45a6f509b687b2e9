package fault_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"m3o/internal/fault"
)

func fail() error { return fault.New(fault.Conflict, "taken") }

func TestStackTellsTheDeepestPlaceFirst(t *testing.T) {
	t.Parallel()
	err := fault.Trace(fmt.Errorf("save: %w", fail()))
	stack := fault.Stack(errors.Join(errors.New("knows no place"), err))
	if len(stack) != 2 || !strings.HasSuffix(stack[0].Function, ".fail") || !strings.Contains(stack[1].Function, "TestStack") {
		t.Fatalf("stack %v", stack)
	}
	if stack[0].File != "fault/stack_test.go" || !strings.HasPrefix(stack[0].String(), "fault/stack_test.go:12 ") {
		t.Errorf("the place is %s", stack[0])
	}
	if err.Error() != "save: conflict: taken" || !fault.Is(err, fault.Conflict) {
		t.Errorf("the error has changed: %v", err)
	}
	if fault.Trace(nil) != nil || fault.Stack(nil) != nil {
		t.Error("nothing has a place")
	}
}

func TestStackGoesOnWhereAnErrorCameFrom(t *testing.T) {
	t.Parallel()
	there := []fault.Frame{{Function: "c", Line: 1}, {Function: "b", Line: 2}}
	err := fault.TraceCall(&fault.Error{Code: fault.Invalid, Trace: there}, func(string) bool { return false })
	stack := fault.Stack(err)
	if len(stack) != 3 || stack[0].Function != "c" || stack[1].Function != "b" || !strings.Contains(stack[2].Function, "TestStack") {
		t.Errorf("stack %v", stack)
	}
}

func TestTraceCallPassesOverWhoCallsForOthers(t *testing.T) {
	t.Parallel()
	client := func() error {
		return fault.TraceCall(errors.New("x"), func(function string) bool { return strings.Contains(function, ".func1") })
	}
	if stack := fault.Stack(client()); len(stack) != 1 || strings.Contains(stack[0].Function, ".func1") {
		t.Errorf("stack %v", stack)
	}
}
