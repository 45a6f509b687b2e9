// Package strict is a service that cannot start before somebody has set its config. Only
// the suite imports it.
package strict

//go:generate go run m3o/internal/codegen/generate .
