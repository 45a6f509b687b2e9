package identity

import (
	"net/mail"
	"strings"

	"m3o/internal/fault"
)

// RFC 5321 section 4.5.3.1, less the angle brackets.
const (
	addressMax = 254
	localMax   = 64
)

// ParseAddress is the identity of an e-mail address: trimmed and in lower case. What is not a bare address of RFC 5322
// is fault.Invalid.
func ParseAddress(email string) (string, error) {
	email = strings.TrimSpace(email)
	if email == "" {
		return "", fault.BadField("email", "is required")
	}
	if len(email) > addressMax {
		return "", fault.BadField("email", "is longer than %d bytes", addressMax)
	}
	parsed, err := mail.ParseAddress(email)
	if err != nil || parsed.Address != email || strings.ContainsAny(email, "[]\"") || strings.LastIndex(email, "@") > localMax {
		return "", fault.BadField("email", "is not an e-mail address such as ada@example.com")
	}
	return strings.ToLower(email), nil
}
