// Package page owns how lists are bounded and continued: a limit, and an opaque
// cursor that names the last row seen (keyset paging, stable under inserts).
// Services import it; it imports only fault.
package page

import (
	"encoding/base64"
	"encoding/binary"

	"m3o/internal/fault"
)

// The bounds of every list.
const (
	Default = 50
	Max     = 1000
)

// Limit is the number of rows to return: 50 for 0, never more than 1000. A
// negative or larger number is fault.Invalid.
func Limit(n int) (int, error) {
	switch {
	case n == 0:
		return Default, nil
	case n < 0 || n > Max:
		return 0, fault.BadField("limit", "%d is not between 1 and %d", n, Max)
	}
	return n, nil
}

// Cursor names a row by its place in the order (time, id).
type Cursor struct {
	Time int64 // Unix microseconds
	ID   string
}

// maxID bounds the id of a cursor that somebody else wrote.
const maxID = 128

// String is the opaque form.
func (c Cursor) String() string {
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint64(nil, uint64(c.Time)), c.ID...))
}

// Parse reads the opaque form. The empty text is the zero Cursor, from which a
// list starts; anything that String did not write is fault.Invalid.
func Parse(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < 9 || len(b) > 8+maxID {
		return Cursor{}, fault.BadField("cursor", "is not a cursor of ours: send next_cursor of the page before, unchanged")
	}
	return Cursor{Time: int64(binary.BigEndian.Uint64(b)), ID: string(b[8:])}, nil
}
