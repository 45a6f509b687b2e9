// Package gatekeeper is an example: a sink whose answer the source heeds, and a
// configuration value that changes while the service runs. It has no functions, and
// keeps nothing.
package gatekeeper

//go:generate go run m3o/internal/codegen/generate .
