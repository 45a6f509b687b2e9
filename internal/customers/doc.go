// Package customers owns accounts: who signed up, how they prove it, their sessions, and whether they are banned or
// deleted. It keeps passwords as argon2id hashes and tokens and codes as SHA-256 only.
//
// It promises that
//   - a token of a session that was ended, rotated or belongs to a banned or deleted customer is refused from the moment
//     the call that did so is answered;
//   - a code works once, for a while, and is void after a stated number of wrong tries, also parallel ones;
//   - a refresh token works once: a second use ends its session;
//   - an unknown address cannot be told from a known one by Login, Recover and ResetPassword, in words or in time;
//   - wrong passwords are bounded by address and client, and ten times as loosely by address alone, in the store: one
//     stranger's guesses do not refuse the owner, who calls from elsewhere, and no number of strangers is unbounded;
//   - what happened is said on the topic customers, in the order it happened to a customer.
//
// Only app imports it; everybody else uses customersapi.
package customers

//go:generate go run m3o/internal/codegen/generate .
