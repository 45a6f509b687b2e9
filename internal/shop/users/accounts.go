package users

import (
	"crypto/sha256"
	"sync"
	"time"

	"m3o/internal/shop/users/usersapi"
)

const (
	// accountsFor is how long an account is remembered. OnTokenRevoked makes it forgotten at once; this bounds the wrong
	// that a lost message can do, at the price of one indexed read a second and token.
	accountsFor = time.Second

	// accountsMax bounds the memory. Who is forgotten is read anew.
	accountsMax = 1 << 13
)

// digest is the SHA-256 of a token.
type digest [sha256.Size]byte

// accounts remembers whose tokens are that were found good a moment ago. The zero value is ready.
type accounts struct {
	mu      sync.Mutex
	byToken map[digest]remembered
	changes uint64 // how often something was forgotten
}

type remembered struct {
	account usersapi.ShopAccount
	until   time.Time
}

// find is the account of a token that is remembered, and otherwise the state of the memory, for store.
func (a *accounts) find(token digest, now time.Time) (account usersapi.ShopAccount, found bool, changes uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, found := a.byToken[token]
	if !found || !now.Before(r.until) || !now.Before(r.account.Expires) {
		return usersapi.ShopAccount{}, false, a.changes
	}
	return r.account, true, a.changes
}

// store remembers an account that was read when the memory was in that state; if something was forgotten since, it may
// have been this, and it is left.
func (a *accounts) store(token digest, account usersapi.ShopAccount, now time.Time, changes uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.changes != changes {
		return
	}
	if a.byToken == nil || len(a.byToken) >= accountsMax {
		a.byToken = map[digest]remembered{}
	}
	a.byToken[token] = remembered{account: account, until: now.Add(accountsFor)}
}

// forget forgets a token of a user, or all when tokenID is empty.
func (a *accounts) forget(userID, tokenID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes++
	for token, r := range a.byToken {
		if r.account.ID == userID && (tokenID == "" || r.account.TokenID == tokenID) {
			delete(a.byToken, token)
		}
	}
}
