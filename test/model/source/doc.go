// Package source is a service that fires events. Only the suite imports it.
package source

//go:generate go run m3o/internal/codegen/generate .
