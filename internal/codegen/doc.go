// Package codegen turns the service.yaml of a service into code: contract, client, routes,
// subscriptions, configuration, metrics, tickers and OpenAPI, and skeletons of what is left to
// write by hand.
//
// It owns the text of every generated file. Commands import it; it imports nothing of ours but
// its own spec package, so that a broken generated file never stops the generator.
package codegen
