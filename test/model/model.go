package model

import (
	"os"
	"testing"

	"m3o/internal/bus"
)

// Transport is a bus under test.
type Transport struct {
	Name string

	// New makes a plane of its own. Each call of what it returns is the bus of one more
	// process on it; t.Cleanup closes them.
	New func(t *testing.T) (process func() bus.Bus)

	// Kill ends the process of that bus without a word to anybody. Nil: processes of this
	// transport do not die alone.
	Kill func(b bus.Bus)
}

// suite is one run of the checks.
type suite struct {
	transport Transport
	long      bool // M3O_TEST_LONG=1: the long variants
}

// Run holds the run time over the transport to every check.
func Run(t *testing.T, transport Transport) {
	t.Helper()
	s := suite{transport, os.Getenv("M3O_TEST_LONG") == "1"}
	t.Run(transport.Name, func(t *testing.T) {
		for _, checks := range []func(*testing.T){
			s.load, s.limits, s.beats, // these look at the clock and go first, one after the other
			s.arguments, s.refusals, s.typed, s.paths, s.types, s.results, s.errors, s.routes, s.webs, s.replicas, s.multicast,
			s.cancellation, s.surroundings, s.nesting, s.bodies, s.events, s.streams, s.configs, s.metrics, s.mocks, s.life, s.documents,
		} {
			checks(t)
		}
	})
}

// check runs one check on a plane of its own, beside the others.
func (s suite) check(t *testing.T, name string, show func(t *testing.T, p *plane)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		show(t, s.plane(t))
	})
}

// alone runs a check that looks at the clock, or takes the whole machine, before all
// those that run beside each other.
func (s suite) alone(t *testing.T, name string, show func(t *testing.T, p *plane)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { show(t, s.plane(t)) })
}

func (s suite) plane(t *testing.T) *plane {
	p := &plane{t: t, process: s.transport.New(t)}
	p.caller = p.process()
	return p
}
