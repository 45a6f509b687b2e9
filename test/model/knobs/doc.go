// Package knobs is a service with configs, tickers and metrics of every kind. Only the
// suite imports it.
package knobs

//go:generate go run m3o/internal/codegen/generate .
