// Package publicapi is the contract of the durable topic of the same name: changes of the catalogue of APIs on sale.
// Everybody may import it, also outside this module.
//
// Numbers of types and fields are never reused; a consumer passes over a type that
// it does not know.
package publicapi

//go:generate go run -C ../../../../tools ./protogen -root .. pkg/events/proto/publicapi/events.proto

// Topic is the name of the topic.
const Topic = "publicapi"
