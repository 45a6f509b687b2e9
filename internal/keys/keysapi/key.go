package keysapi

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// The text of a key is Mark, 30 random base62 characters (178 bits) and their
// CRC-32 (IEEE) as 6 base62 characters: a scanner recognises a leaked key, and a
// mistyped one is refused without asking the store.
const (
	Mark       = "m3o_"
	PrefixSize = 8 // how much of a key may be stored and shown, to recognise it by

	randomSize = 30
	sumSize    = 6
	base62     = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// NewKey makes the text of a key from a source of randomness (crypto/rand.Reader).
func NewKey(random io.Reader) (string, error) {
	text := make([]byte, 0, randomSize)
	var buf [randomSize]byte
	for len(text) < randomSize {
		if _, err := io.ReadFull(random, buf[:]); err != nil {
			return "", fmt.Errorf("read randomness for a key: %w", err)
		}
		text = appendBase62(text, buf[:])
	}
	return Mark + string(text) + sum(string(text)), nil
}

// appendBase62 turns bytes into characters until there are enough. Bytes of 248
// and more are passed over, so that all characters are equally likely.
func appendBase62(text, random []byte) []byte {
	const fair = 256 - 256%len(base62)
	for _, b := range random {
		if int(b) < fair && len(text) < randomSize {
			text = append(text, base62[int(b)%len(base62)])
		}
	}
	return text
}

// WellFormed says whether a text is a key as NewKey makes them: length, alphabet
// and checksum. It says nothing about whether the key exists.
func WellFormed(text string) bool {
	rest, ok := strings.CutPrefix(text, Mark)
	if !ok || len(rest) != randomSize+sumSize {
		return false
	}
	for i := range len(rest) {
		if strings.IndexByte(base62, rest[i]) < 0 {
			return false
		}
	}
	return rest[randomSize:] == sum(rest[:randomSize])
}

// Hash is what is stored of a key: the hex SHA-256 of its text. It needs no salt,
// since the text is random.
func Hash(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}

// sum is the CRC-32 as base62, most significant digit first, padded with zeros.
func sum(text string) string {
	n := crc32.ChecksumIEEE([]byte(text))
	var digits [sumSize]byte
	for i := sumSize - 1; i >= 0; i-- {
		digits[i] = base62[n%uint32(len(base62))]
		n /= uint32(len(base62))
	}
	return string(digits[:])
}
