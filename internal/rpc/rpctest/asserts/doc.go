// Package asserts is what the generated test harness of a service is made of: a call of a handler is a Case, an answer
// of a raw web handler a Page, a listener to an event a Sink, and each has the assertions that a test makes of it. An
// assertion that does not hold fails the test and the test goes on.
//
// Only tests import it.
package asserts

import (
	"reflect"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Nothing is the result of a handler that returns an error only.
type Nothing struct{}

// diff says how two values differ, empty when they do not. Nothing sent is as good as an empty list.
func diff(want, have any) string {
	return cmp.Diff(want, have, cmpopts.EquateEmpty(), cmp.Exporter(func(reflect.Type) bool { return true }))
}
