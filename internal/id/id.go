// Package id makes the house's identifiers: a typed prefix and a part that sorts
// by the time it was made, such as cus_01hq…. Everybody may import it.
package id

import (
	"context"
	"encoding/base32"

	"github.com/google/uuid"

	"m3o/internal/carry"
)

// alphabet is base32 in ascending ASCII order, so that the text sorts as the
// bytes do (RFC 4648 section 7, in lower case).
var alphabet = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// New makes an identifier: prefix, underscore, and the 26 characters of a new
// UUIDv7 (RFC 9562). Identifiers of one process sort in the order of their making.
func New(prefix string) string {
	u := uuid.Must(uuid.NewV7())
	var room [48]byte // of a usual id
	text := append(append(room[:0], prefix...), '_')
	return string(alphabet.AppendEncode(text, u[:]))
}

// requestID is what a context carries of its request.
type requestID string

// WithRequest returns a context that belongs to the request of that id.
func WithRequest(ctx context.Context, request string) context.Context {
	return carry.With(ctx, requestID(request))
}

// Request is the id of the context's request, empty when it has none.
func Request(ctx context.Context) string {
	request, _ := carry.From[requestID](ctx)
	return string(request)
}
