package customers

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const (
	base62  = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	letters = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz" // without those that look like one another

	accessPrefix  = "m3o_at_"
	refreshPrefix = "m3o_rt_"
	tokenLength   = 32 // 190 bits
	codeLength    = 8  // 44 bits, of which CodeTries can be tried
)

func newCode() string { return random(letters, codeLength) }

func newToken(prefix string) string { return prefix + random(base62, tokenLength) }

// isToken tells whether text can be a token of ours, before a database is asked.
func isToken(prefix, text string) bool {
	return strings.HasPrefix(text, prefix) && len(text) == len(prefix)+tokenLength
}

// random draws n characters, each as likely as the others: bytes that would favour some are thrown away.
func random(alphabet string, n int) string {
	fair := 256 - 256%len(alphabet)
	text := make([]byte, 0, n)
	draw := make([]byte, 2*n)
	for {
		rand.Read(draw) // never fails
		for _, b := range draw {
			if int(b) >= fair {
				continue
			}
			if text = append(text, alphabet[int(b)%len(alphabet)]); len(text) == n {
				return string(text)
			}
		}
	}
}

// digest is how secrets and addresses are stored that need not be read back. It takes no salt: what goes in is random,
// or (an address) need only be found again.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
