// Package events shows admins what has happened: the facts on the durable topics,
// and those that a consumer could not take. It owns no table; it reads the
// outbox's, and lets old rows go.
//
// Only app imports it; others use eventsapi.
package events

//go:generate go run m3o/internal/codegen/generate .
