// Package customers is the contract of the durable topic of the same name: what happens to customers, their keys and their balance.
// Everybody may import it, also outside this module.
//
// Numbers of types and fields are never reused; a consumer passes over a type that
// it does not know.
package customers

//go:generate go run -C ../../../../tools ./protogen -root .. pkg/events/proto/customers/events.proto

// Topic is the name of the topic.
const Topic = "customers"
