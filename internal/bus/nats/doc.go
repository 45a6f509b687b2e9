// Package natsbus is the bus between processes, over NATS and JetStream. It keeps the promises of package bus; this
// page says how, and what is different. App opens one for each process, and tests do; nobody else imports it.
//
// # Who is there
//
// Each process tells all others which replicas it serves, with their endpoints, and once a second that it is still
// there. So every process has the same table, in a bus.Memory: its own endpoints as they are, those of others as
// handlers that lead there. Who shares what, which place is best and who answers a multicast is decided by that one
// table, as in a single process, and “nobody” is known without asking.
//
//   - Serve returns when all processes know, or after a second. Open returns when this process knows all.
//   - A request goes to one process, at its private subject. If nobody hears it there, as after a kill, NATS says so at
//     once: the process is passed over, and the request, which nobody has, goes to another replica.
//   - Who stops refuses what still comes, and it goes to another replica. Close lets finish what runs.
//   - A process that says nothing for five seconds is taken for dead. Calls that it may have begun end then, or within
//     half a second when NATS knows that it has gone: fault.Unavailable, it may have been executed. What it has asked
//     for is cancelled.
//   - When the connection to NATS is lost, all calls to other processes end at once, and new ones are refused until it
//     is back, which is tried for ever. A multicast is answered fault.Unavailable for everybody else. What was not heard
//     meanwhile is not said again: see Disconnected.
//
// # Requests
//
// A request is one message, and so is a short answer. Longer bodies come in pieces, of which a mebibyte may be under
// way each way: a reader that stands still holds its writer. Of the caller's context there arrive the time that is left
// (not the deadline, for clocks differ), its cancellation, who is calling, the client's address, the request's id and
// the frame. None of that is in HTTP headers, so no header makes anybody somebody: whoever may publish to NATS may
// claim to be anyone, hence let only processes of the house in.
//
// NATS delivers a request once or not at all. Should one come twice all the same, the second is dropped while the first
// runs, so that its caller is not told of a conflict with itself; later it is executed again, to nobody's ear, and the
// Idempotency-Key of its caller keeps that from counting (package rpc).
//
// Answers to all calls of a process come to one subject, and the packet says to which: nats-server finds a subject in its
// cache that it has seen before. Each request has a subject of its own besides, at which NATS says that nobody hears. A
// handler's context costs no timer until somebody waits for its end. Answers that are finished at about the same time go
// out together: whoever is first lets the other requests that are ready go on, once, before it sends. So an answer may
// wait for what else runs in its process at that moment, and alone it does not wait.
//
// A panic of a handler is a 500 with its stack for the log of the edge, or breaks off an answer that has begun, as
// http.ErrAbortHandler does. So does a connection that is lost in the middle of an answer. WebSockets and other upgrades
// are 501, Hijack says so too, and answers before the final one (1xx) and trailers are not carried.
//
// # Topics
//
// A topic is a stream of JetStream, made when it is first used, and each group has a consumer for each partition, which
// has one event out at a time. Events are CloudEvents in headers and protobuf-JSON.
//
//   - Publish returns nil when JetStream has stored the event. It does not wait for the groups.
//   - A try is a delivery, so a try that dies with its process counts; it is given to another member after ten seconds
//     (Config.Redelivery). What bus.After puts off is counted apart and costs none, whichever process does it.
//   - JetStream knows an event for two minutes that is published twice. Replays are never taken for the same.
//
// nats-server acks what its operating system has; it syncs every two minutes unless it is told otherwise. An acked event
// survives the end of the server's process. To survive the loss of its machine as well, set “sync_interval: always” in
// the jetstream block of the server's configuration, or keep several copies (Config.Replicas). What was lost without
// either is still in the outbox, whose rows stay for weeks: set published_at to NULL from before the loss, and the
// relays publish it again; consumers know what they have had.
//
// nats-server 2.9 and later will do.
package natsbus
