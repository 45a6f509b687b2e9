// Package model is the suite that shows what a service made from a service.yaml does at
// run time, whatever carries its requests: each check is a subtest named after its
// number and what it shows. Tests of transports import it; the folders below it are the
// services that it starts, and theirs alone.
//
// Caller and service are always in different processes, where the transport has such:
// nothing passes between them but what passes over the bus.
package model
