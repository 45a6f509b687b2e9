// Package welcomer is an example: a sink that only listens. Of its replicas each event
// reaches one. What it counts is in memory and gone with it: a real service would write
// it into a store.
package welcomer

//go:generate go run m3o/internal/codegen/generate .
