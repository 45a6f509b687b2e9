// Package shopv1connect is the clients of the shop's gRPC contract, and what a server of it implements. Its code is made
// from the .proto files of package shopv1. Everybody may import it, also outside this module.
package shopv1connect
