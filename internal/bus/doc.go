// Package bus owns the transport between services: calls, multicast events and
// durable topics. NewMemory is the bus within one process; every other
// implementation keeps the same promises, and bustest holds them all to these.
//
// The generated contracts (through rpc), the edge and app import bus; services
// see it only through their …api packages and outbox. It imports fault and problem.
//
// # Requests
//
// A request on the bus is an HTTP request and a service on it an http.Handler.
//
//   - Handler is never nil: a host that nobody serves answers fault.Unavailable.
//   - Hosts are compared without case.
//   - The context's deadline and cancellation reach the handler. Its values reach
//     it only within one process: whatever the handler needs travels in headers.
//   - A panic of a handler is the caller's to recover from in one process: the edge does.
//
// # Multicast
//
// A service's event is a request to whoever listens, whose answers return to it.
//
//   - Every group gets a copy with a body of its own; within a group one listener
//     does, in turn. All groups work at the same time; there is one answer a group.
//   - None listening is not an error, and nothing is kept for who comes later.
//   - A panic is that group's answer 500. It reaches neither the source nor the others.
//   - A listener must heed its context: the source waits for it.
//
// # Durable topics
//
// A fact that must not be lost is an Event on a topic.
//
//   - Only bus/outbox publishes, from rows written in the transaction that made the
//     fact true.
//   - At least once: a handler may see an event again, after a crash or a lost
//     answer. It de-duplicates by Event.ID in its own transaction (outbox.Once).
//   - A group gets each event once in all, whichever of its members it is. A group
//     is there from its first Subscribe, so subscribe before the first publish;
//     what comes while it has no member waits for one.
//   - Order: events of one key reach a group in the order of their publishing, one at
//     a time. Keys are dealt to 16 partitions; a failing event holds those of its
//     partition in its group, and nothing else.
//   - nil is an ack. Drop dead-letters at once. After delivers again later and costs
//     no try. Any other error, and a panic, backs off 1s, 5s, 30s, 2m, 10m and then
//     becomes a dead letter. Another group notices nothing of all this.
//   - A dead letter keeps the event, the group and the last error until somebody
//     replays it, to that group alone (Event.Group).
//   - A type or field that this process does not know yet is passed on as it is.
//   - Data is bytes, never shared objects; values of the publisher's context do not
//     reach the handler.
//
// What a handler must not do: change Data; take longer than its context allows
// (30 seconds: it is cancelled, and what it returns then is its result); wait for an
// event of its own partition; rely on order between keys.
package bus
