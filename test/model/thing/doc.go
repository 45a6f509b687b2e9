// Package thing is the service of most run-time checks: it has functions and webs of
// every kind and keeps nothing but what the checks ask it about. Only the suite imports it.
package thing

//go:generate go run m3o/internal/codegen/generate .
