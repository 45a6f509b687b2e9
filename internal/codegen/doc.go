// Package codegen turns the service.yaml of a service into code: contract, clients, routes,
// subscriptions, configuration, metrics, tickers, OpenAPI, a mock, a test harness and a version, and
// skeletons of what is left to write by hand.
//
// It owns the text of every generated file. Commands import it, and the generated test of a
// service's version; it imports nothing of ours but its own spec package, so that a broken
// generated file never stops the generator.
//
// # What it promises
//
// The same input gives the same bytes. Nothing is written when anything is wrong. What people wrote
// is only added to, but for the declared line of a handler whose signature has changed and a
// description that stands as it was generated. A run with nothing to do reads, compares one hash
// (see version_gen.go), and writes nothing.
package codegen
