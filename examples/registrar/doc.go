// Package registrar is an example: the source of two events. It knows nobody who
// listens to them; gatekeeper and welcomer do. It keeps nothing.
package registrar

//go:generate go run m3o/internal/codegen/generate .
