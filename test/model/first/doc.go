// Package first is a service of a chain: first calls second, and that calls third. Only the
// suite imports it.
package first

//go:generate go run m3o/internal/codegen/generate .
