package publicapiapi

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
)

// Sealed is a credential as it is stored and as gateways are told it: under AES-256-GCM
// with a random nonce, bound to its API and its header.
type Sealed struct {
	Key  string `json:"key"`  // which secret it is sealed under
	Text []byte `json:"text"` // nonce, ciphertext, tag
}

// Keyring seals the credentials of upstream APIs under the newest secret and opens them
// under all. The catalogue and the gateways have the same, so that what travels between
// them tells nobody anything.
type Keyring struct {
	newest string // empty: there is no key
	keys   map[string]cipher.AEAD
}

// SecretSize is the size of a secret, in bytes.
const SecretSize = 32

// NewKeyring makes the keys of secrets. Without any, nothing can be sealed or opened.
func NewKeyring(newest []byte, former ...[]byte) (k *Keyring, err error) {
	k = &Keyring{keys: map[string]cipher.AEAD{}}
	if len(newest) == 0 && len(former) == 0 {
		return k, nil
	}
	for _, secret := range append(slices.Clone(former), newest) {
		if k.newest, err = k.add(secret); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// add derives a key from a secret, which may serve other purposes too, and names it.
func (k *Keyring) add(secret []byte) (id string, err error) {
	if len(secret) != SecretSize {
		return "", fmt.Errorf("a secret must have %d bytes, not %d", SecretSize, len(secret))
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "m3o publicapi credentials key", SecretSize)
	if err != nil {
		return "", fmt.Errorf("derive the key of the credentials: %w", err)
	}
	name, err := hkdf.Key(sha256.New, secret, nil, "m3o publicapi credentials id", 8)
	if err != nil {
		return "", fmt.Errorf("name the key of the credentials: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return "", fmt.Errorf("make the cipher of the credentials: %w", err)
	}
	id = hex.EncodeToString(name)
	k.keys[id], err = cipher.NewGCMWithRandomNonce(block)
	return id, err
}

// CanSeal says whether there is a secret to seal under.
func (k *Keyring) CanSeal() bool { return k.newest != "" }

// Seal seals a credential of an API, which is sent as that header. It needs a secret.
func (k *Keyring) Seal(api, header string, secret Secret) Sealed {
	return Sealed{Key: k.newest, Text: k.keys[k.newest].Seal(nil, nil, []byte(secret), boundTo(api, header))}
}

// Open are the credentials of an API by header, all of them, or an error that says
// nothing of them.
func (k *Keyring) Open(api string, all map[string]Sealed) (map[string]Secret, error) {
	found := map[string]Secret{}
	for _, header := range slices.Sorted(maps.Keys(all)) {
		secret, err := k.open(api, header, all[header])
		if err != nil {
			return nil, err
		}
		found[header] = secret
	}
	return found, nil
}

func (k *Keyring) open(api, header string, s Sealed) (Secret, error) {
	aead, ok := k.keys[s.Key]
	if !ok {
		return "", fmt.Errorf("the credential %s is sealed under the key %s, which this system does not have", header, s.Key[:min(len(s.Key), 16)])
	}
	text, err := aead.Open(nil, nil, s.Text, boundTo(api, header))
	if err != nil {
		return "", fmt.Errorf("the credential %s has been changed since it was sealed", header)
	}
	return Secret(text), nil
}

// Renewed is the credential sealed under the newest secret, where it can be opened.
func (k *Keyring) Renewed(api, header string, s Sealed) Sealed {
	secret, err := k.open(api, header, s)
	if err != nil || s.Key == k.newest {
		return s
	}
	return k.Seal(api, header, secret)
}

func boundTo(api, header string) []byte { return []byte(api + "\x00" + header) }
