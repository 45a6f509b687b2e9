// Package messenger is an example: a service of several replicas. One of them answers
// a call, all of them answer a multicast call, and each has an address of its own. It
// keeps nothing.
package messenger

//go:generate go run m3o/internal/codegen/generate .
