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

// Any is the method of an endpoint that answers to every method.
const Any = "ANY"

// Endpoint is a place on the bus and the handler that serves it.
type Endpoint struct {
	Host   string // such as "customers"; case does not matter
	Port   int    // 0: every port
	Method string // upper case, or Any
	Path   string // with its arguments in braces, as MatchPath wants it; case matters

	// Queue is who shares the requests: of the replicas that serve one place with one
	// queue, each request reaches one. A replica that serves it without a queue shares
	// with nobody: a multicast request always reaches it.
	Queue string

	Handler http.Handler
}

// Bus is the transport between services. The package comment states its promises.
type Bus interface {
	// Serve makes a replica of a service answer at endpoints, all at once. The endpoints
	// are also found at the replica's own address, "<replica>.<host>", where nobody
	// shares them. Stop ends that: requests that run finish, and it waits for them. It
	// may be called twice.
	Serve(replica string, endpoints ...Endpoint) (stop func())

	// Handler is how to reach host now: ask again for each request. It is never nil: a
	// host that nobody serves answers fault.Unavailable, a path, method or port that it
	// does not have fault.NotFound. The port is that of the request's URL, 443 where it
	// names none (80 for http). An endpoint with the very path comes before those with
	// arguments, and of those the one whose path says more. Case of host does not matter.
	Handler(host string) http.Handler

	// Multicast sends a copy of r to everybody who serves its URL: to one replica of
	// each queue and to each replica without one, at all matching endpoints, to all at
	// once. The channel yields the replies as they come and is closed after the last; it
	// need not be read. Whoever has not answered when r's context ends is answered for
	// by a fault.Expired. Nobody at all is not an error. It reads r.Body to its end.
	Multicast(r *http.Request) <-chan Reply

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

// Reply is what one replica answered to a multicast request.
type Reply struct {
	Replica string // who answered
	Queue   string // for whom; empty: for itself
	Status  int
	Header  http.Header
	Body    []byte
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

// Unknown answers every request for a host with fault.Unavailable: nobody serves it.
type Unknown string

// ServeHTTP implements http.Handler.
func (host Unknown) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	problem.Write(w, r, fault.New(fault.Unavailable, "nobody serves %s at the moment", string(host)))
}
