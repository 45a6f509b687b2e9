package app

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// secretSize is the size of the secret that seals credentials, in bytes.
const secretSize = 32

// secretFile is where the secret is when the operator gives none.
const secretFile = "secret"

// openSecret is the secret under which the credentials of upstream APIs are sealed: the
// given one, in hexadecimal, or that of the data directory, made at the first start.
func openSecret(dir, given string) ([]byte, error) {
	if given != "" {
		secret, err := hex.DecodeString(given)
		if err != nil || len(secret) != secretSize {
			return nil, fmt.Errorf("M3O_SECRET has %d hexadecimal digits, such as openssl rand -hex %d prints", 2*secretSize, secretSize)
		}
		return secret, nil
	}
	file := filepath.Join(dir, secretFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return makeSecret(file)
	}
	if err != nil {
		return nil, fmt.Errorf("the secret in %s cannot be read: %w", file, reason(err))
	}
	secret, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(secret) != secretSize {
		return nil, fmt.Errorf("%s is damaged: put the copy of your backup there, or remove it and hand in the credentials of upstream APIs again", file)
	}
	return secret, nil
}

// makeSecret writes a new secret, whole or not at all.
func makeSecret(file string) ([]byte, error) {
	secret := make([]byte, secretSize)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	if err := writeDurably(file, []byte(hex.EncodeToString(secret)+"\n")); err != nil {
		return nil, fmt.Errorf("the secret %s cannot be written: %w", file, reason(err))
	}
	return secret, nil
}

// writeDurably writes a file whole or not at all, so that it is on the disk before
// anything is sealed under it.
func writeDurably(file string, text []byte) error {
	temp, err := os.OpenFile(file+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = temp.Write(text)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
