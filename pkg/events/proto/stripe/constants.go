// Package stripe is the contract of the durable topic of the same name: what the card processor says about charges.
// Everybody may import it, also outside this module.
//
// Numbers of types and fields are never reused; a consumer passes over a type that
// it does not know.
package stripe

//go:generate go run -C ../../../../tools ./protogen -root .. pkg/events/proto/stripe/events.proto

// Topic is the name of the topic.
const Topic = "stripe"
