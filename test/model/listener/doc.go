// Package listener is a service with sinks that its replicas share. Only the suite imports it.
package listener

//go:generate go run m3o/internal/codegen/generate .
