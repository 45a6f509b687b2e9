package apptest

import (
	"strings"
	"sync"
	"testing"

	"m3o/internal/app"
	"m3o/internal/bus"
)

// secret is what the processes of a split house share.
const secret = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// Shared is a memory bus that several houses of one test are on, each as one process
// of a split house.
type Shared struct{ *bus.Memory }

// NewShared makes a bus that nobody is on.
func NewShared() Shared { return Shared{bus.NewMemory(bus.MemoryConfig{})} }

// Ready never fails: the others are in this process.
func (Shared) Ready() error { return nil }

// Close leaves the bus to the others.
func (Shared) Close() error { return nil }

// Services runs some services, as --services does.
func Services(list string) Option {
	return func(c *app.Config) { c.Services = strings.Split(list, ",") }
}

// Over puts the process on a bus that others are on.
func Over(transport app.Transport) Option {
	return func(c *app.Config) { c.Transport, c.Secret = transport, secret }
}

// NATS puts the process on a bus by way of a NATS server.
func NATS(url string) Option {
	return func(c *app.Config) { c.Bus, c.Secret = url, secret }
}

// StartSplit starts one process for each list of services, all at the same time, each
// with what its options say beside the common ones.
func StartSplit(t testing.TB, lists []string, options func(i int) []Option) []*System {
	t.Helper()
	all := make([]*System, len(lists))
	var starting sync.WaitGroup
	for i, list := range lists {
		all[i] = prepare(t, append([]Option{Services(list)}, options(i)...)...)
		starting.Go(func() { all[i].begin() })
	}
	starting.Wait()
	for i, s := range all {
		if s.failed != nil {
			t.Errorf("start %s: %v", lists[i], s.failed)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	return all
}
