// Package hosting starts and stops the services of one process as a whole.
//
// It owns their life: groups start one after the other, the services of a group at the
// same time, and everything stops in reverse. A service is reachable once its OnStartup
// has returned; tickers beat when all groups are up. What a start has begun before it
// failed is stopped again. Each OnStartup and each OnShutdown has a limit of time, and
// a panic in one is an error. Nothing is guessed from the surroundings: bus, deployment
// and configuration are values, so that several apps can live in one process.
//
// What a service may do beside Service: OnStartup(ctx) error and OnShutdown(ctx) error,
// written by hand, and Patience() where the start may take longer than the app's limit; Host() string, Configured() and Mocked(), generated.
//
// Only app and tests import it.
package hosting
