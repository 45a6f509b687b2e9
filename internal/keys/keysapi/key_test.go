package keysapi_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"m3o/internal/keys/keysapi"
)

func TestNewKeyIsWellFormedAndUnique(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		key, err := keysapi.NewKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if len(key) != 40 || !strings.HasPrefix(key, "m3o_") || !keysapi.WellFormed(key) || seen[key] {
			t.Fatalf("key %q", key)
		}
		seen[key] = true
	}
}

// The form is a promise to scanners of leaked keys, so it is pinned by an example.
func TestTheFormOfAKey(t *testing.T) {
	t.Parallel()
	key, err := keysapi.NewKey(bytes.NewReader(make([]byte, 30)))
	if err != nil {
		t.Fatal(err)
	}
	// The CRC-32 of thirty "0" is 0x77e5db82.
	if want := "m3o_" + strings.Repeat("0", 30) + "2C8GjS"; key != want {
		t.Fatalf("key %q, want %q", key, want)
	}
	if keysapi.Hash("abc") != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Fatal("Hash is not the hex SHA-256")
	}
}

func TestNewKeyPassesOverBytesThatWouldBeUnfair(t *testing.T) {
	t.Parallel()
	random := append(bytes.Repeat([]byte{0xff}, 30), bytes.Repeat([]byte{1}, 30)...)
	key, err := keysapi.NewKey(bytes.NewReader(random))
	if err != nil || !strings.HasPrefix(key, "m3o_"+strings.Repeat("1", 30)) {
		t.Fatalf("key %q, %v", key, err)
	}
}

func TestNewKeyFailsWithoutRandomness(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	if _, err := keysapi.NewKey(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
}

func TestWellFormedRefuses(t *testing.T) {
	t.Parallel()
	good, err := keysapi.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing":        "",
		"another mark":   "key_" + good[4:],
		"a short text":   good[:39],
		"a long text":    good + "0",
		"other alphabet": good[:20] + "-" + good[21:],
		"white space":    " " + good,
	} {
		if keysapi.WellFormed(text) {
			t.Errorf("%s: %q is taken for a key", name, text)
		}
	}
}

func FuzzWellFormed(f *testing.F) {
	good, err := keysapi.NewKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, uint8(7), byte('x'))
	f.Add("m3o_", uint8(0), byte(0))
	f.Fuzz(func(t *testing.T, text string, at uint8, char byte) {
		if !keysapi.WellFormed(text) {
			return
		}
		changed := []byte(text)
		i := int(at) % len(changed)
		if changed[i] == char {
			return
		}
		changed[i] = char // a CRC finds every change of one character
		if keysapi.WellFormed(string(changed)) {
			t.Fatalf("%q and %q are both taken for keys", text, changed)
		}
	})
}
