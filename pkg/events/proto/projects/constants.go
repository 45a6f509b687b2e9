// Package projects is the contract of the durable topic of the same name: projects and who pays for them.
// Everybody may import it, also outside this module.
//
// Numbers of types and fields are never reused; a consumer passes over a type that
// it does not know.
package projects

//go:generate go run -C ../../../../tools ./protogen -root .. pkg/events/proto/projects/events.proto

// Topic is the name of the topic.
const Topic = "projects"
