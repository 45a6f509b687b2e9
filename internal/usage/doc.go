// Package usage owns the record of every served call, what was charged for it,
// and the counters behind quotas and caps.
//
// Promises:
//
//   - A call is recorded once, by its request id, however often it is handed in;
//     its row, the counters and the fact on the topic requests are one transaction.
//   - Who reads sees every call that has been answered: reading first asks the
//     gateways to hand in what they hold (OnFlush).
//   - A closed lease of money is a fence: no record is charged on it any more, and
//     CloseLease says exactly what was.
//   - An allowance is never leased beyond its limit. What a gateway that died held
//     of one comes back when the lease expires; one that lives keeps what is in use.
//
// Days and months are UTC. Only app imports usage; everybody else its usageapi.
package usage

//go:generate go run m3o/internal/codegen/generate .
