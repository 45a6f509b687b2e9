// Package bus owns the transport between services: calls, multicast events and
// durable topics. NewMemory is the bus within one process, package natsbus (in the
// folder nats) the one between processes. Both keep the same promises, and bustest holds
// them to these; where they differ, it is said.
//
// The generated contracts (through rpc), the edge and app import bus; services
// see it only through their …api packages and outbox. It imports fault, frame and problem.
//
// # Places
//
// An endpoint is a place (a host, a port, a method and a path) and the handler of one
// replica there. Endpoints of the same place share it, whatever their paths call the
// arguments.
//
//   - A queue is who shares the requests of a place: each reaches one of its replicas.
//     A replica without a queue is a queue of its own.
//   - "<replica>.<host>" is the same endpoints of that replica alone.
//   - Hosts and replicas are compared without case, paths and methods with it. The
//     root may be written as no path; any other trailing slash makes another path.
//   - A place of method GET answers HEAD as well.
//   - Paths are matched as they are escaped: %2F is a letter of its segment, no slash.
//     FillPath and MatchPath bring any text through, an empty one too.
//   - Who serves is reached by everybody when Serve has returned (over NATS, by who could
//     be told within a second). Who stops is passed over from then on, and Stop waits for
//     what it still does. A handler must not stop its own replica: Stop would wait for it.
//   - An endpoint that nobody could reach (its path is none, for instance) is a mistake
//     of whoever wrote it: Serve panics.
//
// # Requests
//
// A request on the bus is an HTTP request and a service on it an http.Handler.
//
//   - Handler is never nil: a host that nobody serves answers fault.Unavailable, and a
//     host without such a path, method or port fault.NotFound. Who listens to a host's
//     events (port 417) does not serve the host.
//   - A request reaches one replica at the best place: the very path before one with
//     arguments, of those the one that says more from the left; then the method that is
//     given before Any; then the port that is given before every port.
//   - Bodies are streams both ways: they arrive as they are written and flushed.
//   - The context's deadline and cancellation reach the handler; when it returns is its
//     own affair. The context's values reach it only within one process: whatever the
//     handler needs travels in headers; who is calling, the request's id and the frame
//     travel by themselves.
//   - A request whose replica goes before it has begun reaches another. One that was under
//     way when its process or the connection was lost is fault.Unavailable, and may have
//     been executed. The transport does not repeat it.
//   - A panic of a handler is the caller's to recover from in one process: the edge does.
//     From another process it is a 500.
//   - Between processes an answer may break off: it is taken back (Aborter), or the caller
//     is left by a panic with http.ErrAbortHandler. There are no WebSockets, no answers
//     before the final one (1xx) and no trailers.
//
// # Multicast
//
// A service's event is a request to whoever serves its URL, whose answers return to it.
//
//   - One replica of each queue at each matching place gets a copy with header and body
//     of its own; all work at the same time.
//   - Nobody there is not an error, and nothing is kept for who comes later. Who is there
//     and cannot be reached answers fault.Unavailable.
//   - Replies come as they are given. Nobody has to read them.
//   - A panic is that replica's reply 500. It reaches neither the source nor the others.
//   - When the context ends, fault.Expired stands in for each reply that is missing, at
//     once; who comes late is unheard, but Stop waits for it. Without a deadline a
//     handler that never returns keeps the channel open.
//   - If it has ended before, or the body cannot be read, nobody is asked, and that is
//     everybody's reply.
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
//   - Publish returns nil in memory when every group has settled the event, over NATS when
//     JetStream has stored it. What that survives is said in package natsbus.
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
