// Package cache owns the cache that the replicas of a service share.
//
// A value is kept by the replica that stored it, and by the others only when they are
// told to keep a copy; any of them finds it. It is a cache: what was stored may be gone
// at any time, but what is found is what was stored last.
//
//   - Store and Delete return nil once no replica has an older value. An error means
//     that some replica may have: repeat it, or live with it until the TTL is over.
//   - Load takes no value that two replicas disagree on. A replica that answers late or
//     with an error counts as one that has nothing.
//   - Elements are dropped when their TTL is over, counted from their Store, and the
//     least recently used ones when there is no room. Clocks need not agree.
//   - A replica that closes hands its elements to those that have room for them.
//   - A replica that nobody else has answered asks nobody for a second, unless somebody
//     turns up before.
//
// The replicas talk over the bus at port 888 of the service's host, which the ingress
// does not reach. The elements are on a list of our own: hashicorp's golang-lru counts
// elements where this weighs bytes, and cannot add at the old end what was handed over.
//
// What starts a service, and the service, import cache; it imports bus, fault and problem.
package cache
