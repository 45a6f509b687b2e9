// Package rpc is the run time of the contracts that m3o generates from
// service.yaml: what a function is, how a request becomes its arguments, how its
// results become an answer, and the client that does the same from the other end.
//
// A function on the bus is an HTTP endpoint of its service's host. Its arguments
// come, later wins, from the body (a JSON object or a form), the query and the
// path; its results are one JSON object.
//
// Of the caller's Go context there travel: its end and its deadline, who is calling
// (auth), the request's id and the frame (package frame). A handler's context ends
// when the caller's does, and after the function's time budget at the latest; the
// caller has its answer by then, fault.Expired, whatever the handler does. Errors
// travel with their code, status, text and the places they have been at
// (fault.Stack), not as Go values: compare codes and ids, not sentinels.
//
// Direct calls in one process never come here: they are Go calls through the
// contract's interface, with the caller's whole context and the very error.
//
// The generated …api packages and the edge import rpc; services do not, except
// for Event.
package rpc

import (
	"net/http"
	"strings"
	"time"

	"m3o/internal/bus"
	"m3o/internal/money"
)

// Access says who may reach a function from outside the house.
type Access string

// The ways in; internal, the default, means not at all.
const (
	Internal Access = "internal"
	Public   Access = "public"
	Customer Access = "customer"
	Admin    Access = "admin"
)

// Any is the method of a function that answers to every method.
const Any = bus.Any

// Function is a function of a contract as the bus and the edge see it.
type Function struct {
	Service string        // the package's noun, e.g. "customers"
	Name    string        // the Go name, e.g. "Login"
	Host    string        // where it is on the bus; usually the service's host
	Port    int           // 443 unless service.yaml says otherwise
	Path    string        // with its arguments in braces, e.g. "/openapi/{name}"
	Method  string        // upper case, or Any
	Queue   string        // who shares its requests on the bus, usually the host; empty: every replica serves its own
	Access  Access        //
	Stream  bool          // answers with newline-delimited JSON, one line a message
	Timeout time.Duration // the time budget
}

// Replica is one running copy of a service.
type Replica struct {
	Host    string `json:"host"`    // of the service, e.g. "customers"
	ID      string `json:"id"`      // of this copy; with the host behind a dot, its own address on the bus
	Version string `json:"version"` // of its source, as generated
}

// Accepts says whether the function answers to an HTTP method. A function that
// accepts GET only reads.
func (f Function) Accepts(method string) bool {
	return f.Method == Any || f.Method == method || (f.Method == http.MethodGet && method == http.MethodHead)
}

// Mutates says whether a call may change something, so that a repeated delivery
// needs an idempotency key.
func (f Function) Mutates() bool {
	switch f.Method {
	case Any, http.MethodGet, http.MethodHead:
		return false
	}
	return true
}

// Endpoint is the function's name in the catalogue, e.g. "Helloworld.Call".
func (f Function) Endpoint() string { return Title(f.Service) + "." + f.Name }

// Title is a service's noun as catalogue names write it: its first letter in
// upper case.
func Title(service string) string {
	if service == "" {
		return ""
	}
	return strings.ToUpper(service[:1]) + service[1:]
}

// Publication is the publish section of a service.yaml: how a compiled-in
// service stands in the catalogue.
type Publication struct {
	Name        string // the API's name, e.g. "helloworld"
	DisplayName string
	Description string
	Category    string
	Icon        string
	Prices      map[string]money.Micros // by function name, micro-dollars a call
	Quotas      map[string]int64        // by function name, free calls a month
	Examples    string                  // M3O's examples JSON; empty: none
	OpenAPI     []byte                  // OpenAPI 3.1 of the published endpoints
	Functions   []Function              // those that are on sale
}
