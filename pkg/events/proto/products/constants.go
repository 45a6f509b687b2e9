// Package products is the contract of the durable topic of the same name: what the shop sells and how much of it there is.
// Everybody may import it, also outside this module.
//
// Numbers of types and fields are never reused; a consumer passes over a type that
// it does not know.
package products

//go:generate go run -C ../../../../tools ./protogen -root .. pkg/events/proto/products/events.proto

// Topic is the name of the topic.
const Topic = "products"
