// Package keys owns the API keys: who has which, what they may call, why one is
// refused, and until when. The text of a key is shown once and kept nowhere; the
// store has its SHA-256.
//
// What it promises:
//   - A revoked key never comes back: revocation is a state that nothing leaves,
//     and noting a key's use touches nothing but the time.
//   - A key's blocks are a set of reasons. Blocking by an admin is a row of it; a
//     ban is not stored at all, it follows the customer's status.
//   - When a change has been answered, everybody who remembers the keys of that
//     customer has forgotten them (OnKeysChanged). If somebody could not be told,
//     the answer is fault.Unavailable: the change stands, and may be repeated.
//
// Only app imports it; others use keysapi.
package keys

//go:generate go run m3o/internal/codegen/generate .
