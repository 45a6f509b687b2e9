package users

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"m3o/internal/shop/users/usersapi"
)

var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// What was read before something was forgotten may be just that.
func TestWhatWasReadBeforeIsNotRememberedAfter(t *testing.T) {
	t.Parallel()
	var a accounts
	account := usersapi.ShopAccount{ID: "usr_1", TokenID: "tok_1", Expires: start.Add(time.Hour)}
	_, _, changes := a.find(digest{1}, start)
	a.forget("usr_1", "tok_1")
	a.store(digest{1}, account, start, changes)
	if _, found, _ := a.find(digest{1}, start); found {
		t.Error("it is remembered")
	}
	_, _, changes = a.find(digest{1}, start)
	a.store(digest{1}, account, start, changes)
	if got, found, _ := a.find(digest{1}, start); !found || got != account {
		t.Errorf("what was read since is not: %+v", got)
	}
}

func TestAnAccountIsNotRememberedLongerThanItsToken(t *testing.T) {
	t.Parallel()
	var a accounts
	a.store(digest{1}, usersapi.ShopAccount{ID: "usr_1", Expires: start.Add(time.Millisecond)}, start, 0)
	if _, found, _ := a.find(digest{1}, start); !found {
		t.Error("it is not remembered")
	}
	if _, found, _ := a.find(digest{1}, start.Add(time.Millisecond)); found {
		t.Error("it outlives its token")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	var a accounts
	for i := range 2*accountsMax + 1 {
		a.store(sha256.Sum256(fmt.Append(nil, i)), usersapi.ShopAccount{ID: "usr_1"}, start, 0)
		if len(a.byToken) > accountsMax {
			t.Fatalf("%d accounts are remembered", len(a.byToken))
		}
	}
}

func FuzzToken(f *testing.F) {
	tokens, err := newSigner([]byte("the secret of the house"), func() time.Time { return start })
	if err != nil {
		f.Fatal(err)
	}
	good, err := jwt.NewWithClaims(jwt.SigningMethodHS256, &claims{
		RegisteredClaims: jwt.RegisteredClaims{ID: "tok_1", Issuer: issuer, ExpiresAt: jwt.NewNumericDate(start.Add(lifetime))}, UserID: "usr_1",
	}).SignedString(tokens.key)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{good, "", "..", good + ".", strings.ToLower(good), good[:len(good)-1], good[:len(good)-1] + string(good[len(good)-1]+1), "eyJhbGciOiJub25lIn0.e30."} {
		f.Add(seed)
	}
	// A signature has bits to spare in its last character: read strictly, there is no second form of a token.
	f.Fuzz(func(t *testing.T, token string) {
		if c, err := tokens.read(token); err == nil && token != good {
			t.Errorf("%q is taken as %+v", token, c)
		}
	})
}
