// Package grpc lets programs call the shop over gRPC, gRPC-Web and Connect (JSON over HTTP), on the HTTP port that serves
// everything else: users, products and orders as pkg/shop/v1 declares them, reflection, and the health that every client
// knows. It has no rules of its own: who may do what is said by the services, which it reaches by their contracts.
//
// It promises that
//   - the metadata "authorization" holds a token of the shop or an access token of the platform, bare or after "Bearer ";
//     a bad one is refused everywhere but by Login and Logout, none makes the caller nobody;
//   - every fault has one code here, by the table in faults.go, with a google.rpc.ErrorInfo whose reason is the code that
//     GraphQL gives; what is internal is logged, and shown as "internal error" with the request id;
//   - messages are bounded, and so is the time of a call.
//
// Only app imports it.
package grpc
