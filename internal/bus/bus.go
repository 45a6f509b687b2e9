package bus

import (
	"context"
	"hash/fnv"
	"net/http"
	"time"

	"m3o/internal/fault"
	"m3o/internal/problem"
)

// Partitions is into how many parts a group's events of a topic are dealt by
// their key. It is part of what the outbox stores, so it never changes.
const Partitions = 16

// Bus is the transport between services. The package comment states its promises.
type Bus interface {
	// Handle makes this process serve host. When several serve one host in this
	// process, the latest one does. Stop lets requests that run already finish,
	// waits for them, and may be called twice.
	Handle(host string, h http.Handler) (stop func())

	// Handler is how to reach host now: ask again for each request. It is never
	// nil: a host that nobody serves answers fault.Unavailable. Case of host does not matter.
	Handler(host string) http.Handler

	// Listen adds a listener to the multicast event (its kebab-case path) of the
	// source host. Listeners of one group share: each request reaches one of them.
	// Stop waits for requests that run and may be called twice.
	Listen(host, event, group string, h http.Handler) (stop func())

	// Multicast sends a copy of r to every group that listens to event of host, to
	// all at once, and returns their answers in the order of the groups' names.
	// None is not an error. It reads r.Body to its end.
	Multicast(ctx context.Context, host, event string, r *http.Request) []Reply

	// Publish hands a fact to every group that subscribed to its topic, or to
	// e.Group alone, and returns nil once it is safe from being lost. An error means
	// that some group may not have it: publish it again. Only bus/outbox may call it.
	Publish(ctx context.Context, e Event) error

	// Send is Publish in two steps, so that a group which fails does not keep the
	// next events from the others. Send fixes the event's place in the order and does
	// not wait; settle, which must be called once and may be called from another
	// goroutine, does the rest and returns as Publish does. When settle fails, so do
	// those of the same partition that were sent after it with the same ctx.
	Send(ctx context.Context, e Event) (settle func() error)

	// Subscribe adds a member to the group's subscription to topic. The group comes
	// to be by its first Subscribe and stays: what is published while it has no
	// member waits for one. Stop waits for handlers that run and may be called twice.
	Subscribe(topic, group string, h EventHandler) (stop func())
}

// Reply is what one group answered to a multicast request.
type Reply struct {
	Group  string
	Status int
	Header http.Header
	Body   []byte
}

// Event is a fact on a durable topic.
type Event struct {
	ID       string    // evt_…; the same each time the event is delivered
	Topic    string    // such as "customers"
	Source   string    // the host of the service that states the fact
	Key      string    // what the fact is about: events of one key stay in order; empty: in no order
	Group    string    // when not empty, only this group is to have it (a replay)
	Type     int32     // number in the topic's EventType; may be newer than this process knows
	TypeName string    // such as "Created"; the number in digits when it has no name
	Time     time.Time // when the fact was stated
	Data     []byte    // the topic's message as protobuf-JSON, enums as numbers; not to be changed
}

// Partition is where the event is dealt to: one of [0, Partitions), by its key,
// or by its id when it has none.
func (e Event) Partition() int {
	key := e.Key
	if key == "" {
		key = e.ID
	}
	h := fnv.New32a()
	h.Write([]byte(key))
	return int(h.Sum32() % Partitions)
}

// EventHandler takes one event. What its result means is said at Drop and After.
type EventHandler func(ctx context.Context, e Event) error

// Letter is an event that a group will not be given again by itself.
type Letter struct {
	Event Event
	Group string
	Error string // the last error
	Tries int    // how often it was delivered
}

// Unknown answers every request for host with fault.Unavailable.
func Unknown(host string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, fault.New(fault.Unavailable, "nobody serves %s at the moment", host))
	})
}
