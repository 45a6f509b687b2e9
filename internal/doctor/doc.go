// Package doctor owns the examination of a deployment: whether what m3o stands on can be reached and used, whether the
// clocks agree, and whether the books are in order. Only cmd/m3o imports it.
//
// Promises:
//
//   - It reads. What it writes to see whether it may (a file in the data directory, a message on NATS, a key in Redis)
//     has a name of its own and is gone afterwards.
//   - It asks no service, since those may be what is ill, so it may be run beside them, without them, and before the
//     first start.
//   - Each finding says what was seen and, unless it is fine, what to do about it. No finding shows a password.
//   - What cannot be reached is a finding, and the rest is examined all the same. Nothing takes longer than a minute.
package doctor
