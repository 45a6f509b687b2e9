// Package graph owns the shop's GraphQL: its schema, its HTTP and WebSocket protocols, and the playground. It has no store
// and no rules of its own: who may do what, and what is good input, is decided by the services users, products and orders,
// so that GraphQL, gRPC and the bus are the same.
//
// # Over HTTP
//
// POST /graphql takes {"query", "variables", "operationName"} as JSON, GET /graphql queries in its URL; /query is the
// same. Authorization is "<token>" or "Bearer <token>", of the shop's login or of a platform session. A token that is
// not good is UNAUTHENTICATED, whatever is asked for, except a new login.
//
//   - 200: the operation was executed. What failed is in errors, each with extensions.code: UNAUTHENTICATED, FORBIDDEN,
//     NOT_FOUND, BAD_INPUT (with extensions.field and fields), OUT_OF_STOCK, CONFLICT, UNAVAILABLE (with retry_after,
//     in whole seconds, where that is known) or INTERNAL (with the request_id by which the log knows more).
//   - 422: nothing was executed. GRAPHQL_PARSE_FAILED: this is no document. GRAPHQL_VALIDATION_FAILED: it is not valid, or
//     breaks a limit. BAD_INPUT: a value, in the document or in the variables, does not fit its type (with field and fields,
//     as the services name them, where they are known).
//   - 400, 405, 413, 415: the request is none. BAD_INPUT.
//
// Nothing is executed of an operation that is longer than 64 KiB, has more than 1000 selections, or breaks MaxDepth or
// MaxComplexity. A field costs 1, a mutation 500, and what is in a list counts as often as it may have rows.
//
// # Over WebSocket
//
// The subprotocol is graphql-transport-ws. The token is in the payload of connection_init, as Authorization, or in the
// handshake. A socket closes with 4400 (a bad message), 4401 (a subscribe too early; the token has expired or was
// revoked), 4403 (a bad token), 4406 (another subprotocol), 4408 (no connection_init), 4409 (an id twice), 4429 (a second
// connection_init), 1009 (a message over BodyLimit), 1013 (the token cannot be checked) or 1001 (nobody answers, or the
// service stops). A subscription whose client is too slow ends with an error, and so does one whose event cannot be told
// in OperationLimit.
//
// orderPlaced and stockChanged tell what has happened since they began, within a fraction of a second, in order for each
// order and product. After a crash an order may come twice. What happens while nobody listens is not kept.
//
// Subscriptions need graph in the process that has the HTTP port: the bus between processes carries no WebSockets.
//
// Only app imports it.
package graph

//go:generate go run m3o/internal/codegen/generate .
