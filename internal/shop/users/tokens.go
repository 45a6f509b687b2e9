package users

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"m3o/internal/id"
	"m3o/internal/shop/users/usersapi"
)

// What is in every token.
const (
	issuer       = "m3o"
	lifetime     = 7 * 24 * time.Hour
	maxTokenSize = 4096 // bytes; ours have some 400, and what is longer is not even read
)

// keyLabel tells this key from others that are derived from the secret of the house (RFC 5869, info).
const keyLabel = "m3o shop token HS256"

// claims are what a token says. The names are those of the shop's contract; ver is ours.
type claims struct {
	jwt.RegisteredClaims        // iss, sub (the address), exp, iat, jti
	UserType             int    `json:"user_type"` // when it was given; what the user may do is read anew
	UserID               string `json:"id"`
	Version              int64  `json:"ver"` // the user's token version
}

// signer makes and reads tokens.
type signer struct {
	key    []byte
	parser *jwt.Parser
	now    func() time.Time
}

func newSigner(secret []byte, now func() time.Time) (signer, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, keyLabel, sha256.Size)
	if err != nil {
		return signer{}, fmt.Errorf("derive the key of tokens: %w", err)
	}
	return signer{key: key, now: now, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithIssuer(issuer), jwt.WithExpirationRequired(), jwt.WithStrictDecoding(), jwt.WithTimeFunc(now),
	)}, nil
}

// sign makes a new token of a user.
func (s signer) sign(r record) (string, error) {
	now := s.now()
	return jwt.NewWithClaims(jwt.SigningMethodHS256, &claims{
		RegisteredClaims: jwt.RegisteredClaims{
			ID: id.New("tok"), Issuer: issuer, Subject: r.Email, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(lifetime)),
		},
		UserType: r.Type, UserID: r.ID, Version: r.version,
	}).SignedString(s.key)
}

// errExpired is the answer of read to a token of ours whose time is over.
var errExpired = errors.New("the token has expired")

// read checks a token's signature, maker and time; errExpired when only its time is over, and then the claims are right.
func (s signer) read(token string) (claims, error) {
	var c claims
	if len(token) > maxTokenSize {
		return c, errors.New("the token is too long")
	}
	_, err := s.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return s.key, nil })
	switch {
	case errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return c, errExpired
	case err != nil:
		return claims{}, err
	}
	return c, nil
}

// account is whom a token with these claims belongs to, as the user is now.
func (c claims) account(r record) usersapi.ShopAccount {
	return usersapi.ShopAccount{ID: r.ID, Type: r.Type, Email: r.Email, TokenID: c.ID, Expires: c.ExpiresAt.UTC()}
}
