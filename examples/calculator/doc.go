// Package calculator is an example: a service of functions and metrics. Its contract
// is service.yaml, from which everything that ends in _gen.go is made; what is left to
// write by hand is in calculator.go. It keeps nothing.
package calculator

//go:generate go run m3o/internal/codegen/generate .
