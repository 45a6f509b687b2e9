// Package limit owns rate limits: the generic cell rate algorithm in this process
// (Pace), and the same in Redis (Shared), where the limits hold for all gateways
// together.
//
// A limit admits its rate's worth of calls a second, and one second's worth at once. Two
// limits stand over a call, that of the customer's tier and that of its key; a call is
// taken from both or from neither.
//
// Promises of Shared:
//
//   - Strict: every call asks Redis, one script for both limits, on Redis' clock. What
//     all gateways admit is exactly what one would.
//   - Fast: a gateway spends from a budget that it has leased. Together the gateways hold
//     at most a hundredth of a second's worth of a limit, so they never admit more than
//     that above it in any span of time. A limit too small to be parted so, below a
//     hundred calls a second for each gateway, is asked as in strict mode.
//   - Calls that ask at the same time share round trips. None waits longer than twice the
//     timeout.
//   - Redis away: after the first round trip that fails, nobody waits for it any more.
//     What a budget still holds is spent; then a call is refused with ErrAway, or, if
//     that is configured, admitted by this gateway's own share, which is the limit
//     divided by the gateways that there were. A gateway that has never reached Redis
//     knows no share and refuses.
//   - It comes back by itself. What Redis has forgotten (restart, FLUSHALL) admits one
//     second's worth more, once.
//   - What is counted and then not heard of, because Redis was slow, counts: limits err
//     to the strict side.
//   - State in Redis expires after a second; here it lives as long as its Bucket.
//
// Only gateway and app import limit.
package limit
