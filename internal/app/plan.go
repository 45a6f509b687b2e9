package app

import (
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
)

// Wiring is a service and what it is tied to.
type Wiring struct {
	Member
	Hears    []string // events of other services, as host.event
	Consumes []Subscription
}

// Subscription is a durable topic that a service consumes, and as which group.
type Subscription struct{ Topic, Group string }

// Wirings shows how the services of this program are tied together, in the order
// in which they are built. Nothing is started.
func Wirings() (all []Wiring, err error) {
	h, err := draft()
	if err != nil {
		return nil, err
	}
	for _, m := range h.members {
		l := &listener{}
		m.service.Register(l)()
		slices.Sort(l.hears)
		all = append(all, Wiring{m.Member, slices.Compact(l.hears), l.consumes})
	}
	return all, nil
}

// listener is a bus on which nothing happens; it notes what is listened to.
type listener struct {
	bus.Bus
	hears    []string
	consumes []Subscription
}

// eventPort is where the events of services are on the bus.
const eventPort = 417

// Serve notes the events among the endpoints.
func (l *listener) Serve(_ string, endpoints ...bus.Endpoint) (stop func()) {
	for _, e := range endpoints {
		if e.Port == eventPort {
			l.hears = append(l.hears, e.Host+"."+strings.TrimPrefix(e.Path, "/"))
		}
	}
	return func() {}
}

// Subscribe notes the topic.
func (l *listener) Subscribe(topic, group string, _ bus.EventHandler) (stop func()) {
	l.consumes = append(l.consumes, Subscription{topic, group})
	return func() {}
}

// fires are the events of a service, by its MulticastTrigger, as they are on the bus.
func fires[Trigger any]() (all []string) {
	for method := range reflect.TypeFor[Trigger]().Methods() {
		if method.Name != "ForHost" {
			all = append(all, kebab(method.Name))
		}
	}
	return all
}

// kebab writes OnKeysChanged as on-keys-changed.
func kebab(name string) string {
	var b strings.Builder
	for i, c := range name {
		if unicode.IsUpper(c) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}

// draft builds the services without a store, for looking at them only.
func draft() (*house, error) {
	now := func() time.Time { return time.Now().UTC() }
	return build(parts{
		bus: bus.NewMemory(bus.MemoryConfig{Logger: discard()}), outbox: outbox.New(nil, now, discard()), config: config.Unset{},
		metrics: prometheus.NewRegistry(), log: discard(), now: now, runs: choice(nil).runs,
	})
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
