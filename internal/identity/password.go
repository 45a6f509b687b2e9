package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"m3o/internal/fault"
)

// OWASP's second choice of argon2id parameters (Password Storage Cheat Sheet), RFC 9106.
const (
	argonMemory  = 19456 // KiB
	argonTime    = 2
	argonThreads = 1
	saltLength   = 16
	hashLength   = 32
)

// The bounds of a password. The upper one keeps hashing cheap to refuse.
const (
	passwordMin = 8    // characters
	passwordMax = 1024 // bytes
)

// common are passwords that guessers try first and the other rules let through.
const common = `password password1 password12 password123 passw0rd p@ssw0rd p@ssword 12345678 123456789 1234567890 123123123
 12341234 11223344 87654321 987654321 0123456789 1q2w3e4r 1q2w3e4r5t 1qaz2wsx q1w2e3r4 qwertyui qwertyuiop qwerty12
 qwerty123 qwerty1234 asdfghjk asdfghjkl asdfasdf zxcvbnm123 abcd1234 abc12345 abcdefgh a1b2c3d4 iloveyou iloveyou1
 sunshine princess football baseball superman trustno1 starwars whatever computer internet michelle jennifer corvette
 letmein1 letmein123 welcome1 welcome123 admin123 admin1234 administrator changeme changeme1 changeit default1 secret123
 test1234 testtest dragon123 monkey123 master123 shadow123`

// CheckLength refuses a password that is short or endless; field is the name of the argument that it came in.
func CheckLength(field, password string) error {
	switch {
	case utf8.RuneCountInString(password) < passwordMin:
		return fault.BadField(field, "is too short: use at least %d characters", passwordMin)
	case len(password) > passwordMax:
		return fault.BadField(field, "is too long: use at most %d bytes", passwordMax)
	}
	return nil
}

// CheckPassword is CheckLength, and refuses a password that is among the first anybody would guess for that address,
// which is in the form of ParseAddress.
func CheckPassword(field, password, email string) error {
	if err := CheckLength(field, password); err != nil {
		return err
	}
	lower := strings.ToLower(password)
	local, _, _ := strings.Cut(email, "@")
	switch {
	case strings.Trim(password, string([]rune(password)[:1])) == "":
		return fault.BadField(field, "is too weak: it is one character repeated")
	case lower == email || lower == local:
		return fault.BadField(field, "is too weak: it is the e-mail address")
	case slices.Contains(strings.Fields(common), lower):
		return fault.BadField(field, "is too weak: it is one of the most common passwords")
	}
	return nil
}

// Hasher bounds how many hashes are made at once, for each takes 19 MiB. It is safe for concurrent use.
type Hasher struct{ slots chan struct{} }

// NewHasher makes as many hashes at once as there are processors.
func NewHasher() Hasher { return Hasher{slots: make(chan struct{}, runtime.NumCPU())} }

// Hash makes the PHC string of a password.
func (h Hasher) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltLength)
	rand.Read(salt) // never fails
	key, err := h.key(ctx, password, salt)
	if err != nil {
		return "", err
	}
	return phc(salt, key), nil
}

// Matches tells whether stored is the hash of password. The empty stored hash matches nothing and takes the same time.
func (h Hasher) Matches(ctx context.Context, stored, password string) (bool, error) {
	salt, want, known := parsePHC(stored)
	if !known {
		salt, want = make([]byte, saltLength), make([]byte, hashLength)
	}
	key, err := h.key(ctx, password, salt)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(key, want) == 1 && known, nil
}

func (h Hasher) key(ctx context.Context, password string, salt []byte) ([]byte, error) {
	if len(password) > passwordMax {
		password = "" // never a password: CheckLength refused it
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
		return argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, hashLength), nil
	case <-ctx.Done():
		return nil, fault.Wrap(fault.Unavailable, ctx.Err(), "too many logins at this moment: try again")
	}
}

// phcHead is the part of a PHC string that says how the hash was made: argon2's version 0x13 and the parameters above.
const phcHead = "$argon2id$v=19$m=19456,t=2,p=1$"

func phc(salt, key []byte) string {
	encode := base64.RawStdEncoding.EncodeToString
	return phcHead + encode(salt) + "$" + encode(key)
}

// parsePHC reads what phc wrote. Hashes of other parameters do not exist: whoever changes the parameters teaches it to
// read the old ones.
func parsePHC(stored string) (salt, key []byte, ok bool) {
	rest, ok := strings.CutPrefix(stored, phcHead)
	first, second, cut := strings.Cut(rest, "$")
	if !ok || !cut {
		return nil, nil, false
	}
	salt, saltErr := base64.RawStdEncoding.DecodeString(first)
	key, keyErr := base64.RawStdEncoding.DecodeString(second)
	return salt, key, saltErr == nil && keyErr == nil && len(key) == hashLength
}
