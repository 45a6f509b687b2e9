// Package wire is what the shop says over gRPC that is not the shop's own: health, and the details of errors. Its code is
// made from the .proto files. Only package grpc and its tests import it.
package wire

//go:generate go run -C ../../../../tools ./protogen -root .. internal/shop/grpc/wire/*.proto
