// Package wireconnect is the client of a server's health, and what a server of it implements. Its code is made from
// health.proto of package wire. Only package grpc and its tests import it.
package wireconnect
