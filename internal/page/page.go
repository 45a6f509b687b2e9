// Package page owns how lists are bounded and continued: a limit, and an opaque
// cursor that names the last row seen (keyset paging, stable under inserts).
// Services import it; it imports only fault.
package page

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"strings"

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

// The bytes of a cursor before its id, and behind it.
const (
	timeSize = 8
	sumSize  = 4
)

// String is the opaque form: the time, the id and their CRC-32, by which a
// damaged one is told.
func (c Cursor) String() string {
	b := append(binary.BigEndian.AppendUint64(nil, uint64(c.Time)), c.ID...)
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b)))
}

// Parse reads the opaque form. The empty text is the zero Cursor, from which a
// list starts; anything that String did not write is fault.Invalid.
func Parse(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) <= timeSize+sumSize || len(b) > timeSize+maxID+sumSize {
		return Cursor{}, foreign()
	}
	c := Cursor{Time: int64(binary.BigEndian.Uint64(b)), ID: string(b[timeSize : len(b)-sumSize])}
	if c.String() != s { // another sum, or line breaks, which the decoder passes over
		return Cursor{}, foreign()
	}
	return c, nil
}

// ParseOf is Parse for a list whose ids begin with prefix, as "prd_" does: the
// cursor of another list is fault.Invalid too.
func ParseOf(prefix, s string) (Cursor, error) {
	c, err := Parse(s)
	if err == nil && s != "" && !strings.HasPrefix(c.ID, prefix) {
		return Cursor{}, foreign()
	}
	return c, err
}

func foreign() error {
	return fault.BadField("cursor", "is not a cursor of this list: send next_cursor of the page before, unchanged")
}
