// Package requests is the contract of the durable topic of the same name: calls of priced APIs that were served.
// Everybody may import it, also outside this module.
//
// Numbers of types and fields are never reused; a consumer passes over a type that
// it does not know.
package requests

//go:generate go run -C ../../../../tools ./protogen -root .. pkg/events/proto/requests/events.proto

// Topic is the name of the topic.
const Topic = "requests"
