// Package witness is a service whose replicas hear every event. Only the suite imports it.
package witness

//go:generate go run m3o/internal/codegen/generate .
