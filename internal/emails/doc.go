// Package emails owns the outbox of mails: it keeps what the house wants to tell people and, once an SMTP server is
// configured, delivers it.
//
// A mail that was accepted is delivered at least once (its Message-ID stays the same), by one process at a time, or is
// given up after ten tries or a day. Texts may hold codes, so they are in the database and nowhere in a log.
//
// Only app imports it; everybody else uses emailsapi.
package emails

//go:generate go run m3o/internal/codegen/generate .
