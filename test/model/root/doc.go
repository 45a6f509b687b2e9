// Package root is a service that answers at the root of the web. Only the suite imports it.
package root

//go:generate go run m3o/internal/codegen/generate .
