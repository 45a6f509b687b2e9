// Package shopv1 is the shop's gRPC contract: users, products and orders, and in shopv1connect its clients. A server tells
// it by reflection, too. Everybody may import it, also outside this module.
//
// Numbers of fields are never reused. Every refusal carries a google.rpc.ErrorInfo with domain "shop.m3o" and one of
// these reasons: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, BAD_INPUT, OUT_OF_STOCK, CONFLICT, UNAVAILABLE, INTERNAL.
package shopv1

//go:generate go run -C ../../../tools ./protogen -root .. pkg/shop/v1/*.proto
