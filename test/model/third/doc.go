// Package third is the last service of a chain: first calls second, and that calls third.
// Only the suite imports it.
package third

//go:generate go run m3o/internal/codegen/generate .
