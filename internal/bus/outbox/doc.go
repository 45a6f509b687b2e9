// Package outbox owns the tables outbox, inbox and dead_letters: it makes events
// as durable as the facts they state. Services add events, and app runs a Relay
// for each service that does; nobody else publishes on a bus.
//
// # Writing
//
// Add (and AddMany) writes the event into the transaction that makes the fact true: either both
// are there after a crash or neither. Write the rows that the fact is about first
// and add the event last: the lock on those rows is what puts two events of one key
// in order, also across processes.
//
// # Order
//
// Rows have a number, seq: the clock in microseconds, or one more than the greatest
// of the unpublished rows of the same topic and key, whichever is greater. So events
// of one key rise in the order of their transactions, whatever the clocks say.
// Between keys, and between events added by different services, no order is promised.
//
// # Publishing
//
// A Relay reads unpublished rows, sends those of each partition in order and marks
// what every group has settled. A row is read until it is marked, never skipped by
// its number: a transaction that commits late is found too. What a crash leaves
// unmarked is published again, so consumers call Once in their own transaction.
//
// Of all relays of a service, in all processes, one publishes at a time; it holds
// a lease, and only while it has something to do. After a crash another may wait for
// the lease to end, 10 seconds at most. A process that is frozen for longer may
// publish beside its successor: again Once.
//
// A group that fails holds its own partition. Others go on, up to 64 events of the
// partition ahead of it; then that partition of the source waits for the group.
//
// # Keeping
//
// Retain deletes what is older than wanted. An event that is delivered again after
// its inbox row has gone would be handled twice, so keep rows for weeks.
package outbox
