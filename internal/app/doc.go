// Package app owns the whole: it is the only package that knows every service. It
// opens the store, builds the services from top to bottom, each given only what
// stands above it, starts them in order and stops them in reverse.
//
// There is no container and no registry: build is one straight function, and a
// circle of services would not compile. cmd/m3o and tests import app.
package app
