// Package gateway owns the door of the house: /v1/{service}/{endpoint}.
//
// A call is admitted, forwarded and settled. Admission is one straight line (see
// admit) over state in memory: keys, the catalogue, tiers, and slices of balances
// and allowances that the gateway has leased. It asks another service only when
// it does not know something yet or a slice is used up. The gateway has no store
// of its own but a journal of served calls that are not recorded yet.
//
// Promises:
//
//   - No call is served that cannot be paid: its price is held from a lease before
//     it is forwarded.
//   - No served call is lost: it is in the journal before its answer begins, and
//     the journal survives the process. What a killed process left behind is
//     recorded at the next start.
//   - Only successes (2xx and 3xx of the target) are charged. The charge is made
//     when the answer begins; a caller that goes away after that has been served.
//   - What is sold in units (see units) is charged by what the target says, or by the
//     length of the body. Where that is known at its end only, what was sent is charged,
//     however the answer ends; when the process is killed meanwhile, what was sent at
//     the last mark (see openCalls). The most that a call can cost is held before it.
//   - A request that an endpoint's checks refuse costs nothing but its place in the
//     rates.
//   - An upstream is the same from one catalogue to the next, with its connections, as
//     long as its address, its credentials and the allowed networks stay the same.
//   - A message of a WebSocket is a call of its own. A stream is one call, and is paid
//     once it has begun.
//   - Nothing fails open: what cannot be checked is refused with 503.
//   - A key that was revoked or blocked, a customer that was banned and an API that
//     was taken off sale are refused from the moment that change was answered. Where
//     other processes make the changes that is within a second, whatever becomes of
//     their events; and whoever cannot ask what has changed refuses (see revalidation).
//   - There may be several gateways. What one holds and does not use another gets before
//     it refuses a call.
//
// Only app imports gateway; it uses …api packages of services only.
package gateway

//go:generate go run m3o/internal/codegen/generate .
