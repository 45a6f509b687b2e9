package idempotency

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// id names the row. The scope's length keeps ("a", "bc") and ("ab", "c") apart.
func (r Request) id() string {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s%s", len(r.Scope), r.Scope, r.Key)
	return hex.EncodeToString(h.Sum(nil))
}

// seal encrypts an answer, which may hold an API key or a token, under the Idempotency-Key: who reads the database
// cannot read it, who sends the call again can. The row's id is bound to it, so that answers cannot be swapped.
func seal(key, id string, text []byte) []byte {
	return sealer(key).Seal(nil, nil, text, []byte(id))
}

func open(key, id string, sealed []byte) ([]byte, error) {
	return sealer(key).Open(nil, nil, sealed, []byte(id))
}

// sealer is AES-256-GCM that makes its nonces and puts them in front. Its errors could only be wrong sizes, which are
// constants here.
func sealer(key string) cipher.AEAD {
	secret, err := hkdf.Key(sha256.New, []byte(key), nil, "m3o idempotent answer", 32)
	if err != nil {
		panic(err)
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}
