// Package helloworld is the smallest API on sale: it greets. It shows what a
// service is made of; it keeps nothing, so it has no store. Only app imports it;
// others use helloworldapi.
package helloworld

//go:generate go run m3o/internal/codegen/generate .
