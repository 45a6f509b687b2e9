// Package upstream owns calls to somebody else's HTTP API: it passes a request on and
// its answer back, at the cost of a plain proxy or less.
//
// http:// and such https:// as does not speak HTTP/2 go over an HTTP/1.1 client of
// our own, which keeps connections without a goroutine for each: net/http's Transport
// has two, and hands every call from one to the other. Where a server speaks HTTP/2,
// the Transport is what carries it, under the same rules.
//
// Promises:
//
//   - A request is on the wire exactly as long as it says: one of Content-Length and
//     chunked, and no name or value that could end a line (RFC 9112 section 11.2).
//     A connection of which anything is in doubt is closed, not used again.
//   - What concerns one connection only stays there, both ways (RFC 9110 section 7.6.1).
//     M3O-… of an answer is removed, since those headers are the house's. Trailers of a
//     request are not passed on: they could say in the end who calls.
//   - Bodies are passed on as they come. An answer without a length, an event stream
//     and NDJSON are flushed after every read.
//   - An answer that breaks off is broken off for the caller too: ServeHTTP panics with
//     http.ErrAbortHandler then. It is never ended as if it were complete.
//   - A request is repeated at most once, on a fresh connection, and only if the server
//     cannot have acted upon it: nothing of it was sent, or its method is idempotent
//     (RFC 9110 section 9.2.2) and a kept connection was closed before the answer.
//   - No address is dialled that is not on the public internet, unless an operator
//     allows its network. It is the address itself that is looked at, each time.
//   - An API that fails again and again is left alone but for a probe now and then.
//   - The headers that an operator sets, credentials among them, are in no error and
//     no log. TRACE is refused because servers answer it with what they were sent.
//
// On systems other than Unix a connection that the server has closed while it was idle
// is noticed only when it is used.
//
// The gateway imports upstream; it imports fault and problem.
package upstream
