package users

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"m3o/internal/auth"
	"m3o/internal/db"
	"m3o/internal/db/audit"
	"m3o/internal/db/idempotency"
	"m3o/internal/db/throttle"
	"m3o/internal/fault"
	"m3o/internal/identity"
	"m3o/internal/shop/users/usersapi"
)

func errToken() error {
	return fault.New(fault.Unauthenticated, "the token is not valid any more, or never was: log in again")
}

func errPassword() error { return fault.New(fault.Unauthenticated, "wrong address or password") }

// The bounds of failed logins: within which time, and how much more all clients together may fail than one.
const (
	failuresWithin = 5 * time.Minute
	failuresOfAll  = 10
)

// failures is how often logins may fail: those of the address, and those of the client at all, so that one password is not
// tried on every address.
func (s *Service) failures(ctx context.Context, address string) throttle.Allowances {
	client := auth.Network(auth.Client(ctx))
	if client == "" { // a call from inside the house
		return s.failuresOf(ctx, address)
	}
	ofClient := throttle.Allowance{ID: "users.login-client:" + client, Window: failuresWithin, Count: s.config.loginsPerClient.Get()}
	return append(s.failuresOf(ctx, address), ofClient)
}

// failuresOf is how often logins of an address may fail, the same for those that nobody has: by the client that calls, so
// that a stranger's guesses do not keep the owner out, and by all clients, so that many strangers are bounded too.
func (s *Service) failuresOf(ctx context.Context, address string) throttle.Allowances {
	count := s.config.loginsPerAddress.Get()
	return throttle.Allowances{
		{ID: "users.login:" + address + " " + auth.Network(auth.Client(ctx)), Window: failuresWithin, Count: count},
		{ID: "users.login:" + address, Window: failuresWithin, Count: failuresOfAll * count},
	}
}

// Login gives a token of seven days. An unknown address and a wrong password are the same fault.Unauthenticated after the
// same work; too many of them are fault.Limited, see failures.
func (s *Service) Login(ctx context.Context, email string, password string) (token string, err error) {
	address, err := identity.ParseAddress(email)
	if err != nil {
		return "", err
	}
	r, err := byEmail(ctx, s.db, address)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return "", err
	}
	matches, err := s.guess(ctx, address, r.password, password)
	if err != nil {
		return "", err
	}
	if !matches {
		s.IncrementLogins(1, "refused")
		return "", errPassword()
	}
	out, err := idempotency.Tx(ctx, s.db, func(*db.Tx) (out usersapi.LoginOut, err error) {
		out.Token, err = s.tokens.sign(r) // of the version that was read: a password changed meanwhile has revoked it
		return out, err
	})
	if err == nil {
		s.IncrementLogins(1, "opened")
	}
	return out.Token, err
}

// guess says whether a password is the one of the hash; an empty hash is nobody's. The failure is counted before the
// password is looked at and taken back when there was none, so that parallel guesses are counted too.
func (s *Service) guess(ctx context.Context, address, hash, password string) (bool, error) {
	failures := s.failures(ctx, address)
	if err := failures.Take(ctx, s.db, s.now); err != nil {
		s.IncrementLogins(1, "throttled")
		return false, err
	}
	matches, err := s.hasher.Matches(ctx, hash, password)
	if err != nil || !matches {
		return false, err
	}
	return true, failures.Give(ctx, s.db)
}

// Logout revokes a token and answers when everybody has forgotten it. Whoever has the token may do it. It can be repeated,
// and a token that has expired is as good as revoked; what is no token of ours is fault.Unauthenticated.
func (s *Service) Logout(ctx context.Context, token string) (err error) {
	c, err := s.tokens.read(token)
	switch {
	case errors.Is(err, errExpired):
		return nil
	case err != nil:
		return errToken()
	}
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out usersapi.LogoutOut, err error) {
		return out, revoke(ctx, tx, c.ID, c.ExpiresAt.Time)
	})
	if err != nil {
		return err
	}
	return s.revoked(ctx, c.UserID, c.ID)
}

// revoked has everybody forget a token of a user, or all when tokenID is empty. An error means that somebody may not have:
// the change stands, and the call can be repeated.
func (s *Service) revoked(ctx context.Context, userID, tokenID string) error {
	s.known.forget(userID, tokenID)
	if err := s.trigger.OnTokenRevoked(ctx, userID, tokenID).Err(); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the change is stored, but not everybody has been told: repeat the call")
	}
	return nil
}

// Authenticate finds the user of a token; fault.Unauthenticated when it is bad, has expired or was revoked. The user is as
// it is now, a second ago at most: a token that was found good within that time is not looked at again.
func (s *Service) Authenticate(ctx context.Context, token string) (account usersapi.ShopAccount, err error) {
	now, d := s.now(), digest(sha256.Sum256([]byte(token)))
	account, found, changes := s.known.find(d, now)
	if found {
		return account, nil
	}
	c, err := s.tokens.read(token)
	if err != nil {
		return account, errToken()
	}
	r, err := byToken(ctx, s.db, c)
	switch {
	case fault.Is(err, fault.NotFound):
		return account, errToken()
	case err != nil:
		return account, err
	}
	account = c.account(r)
	s.known.store(d, account, now, changes)
	return account, nil
}

// ChangePassword sets another password and revokes all tokens of the user before it answers. One's own, which an empty id
// names, takes the password in force, whose guesses are bounded as those of Login; an admin of the shop sets another's
// without. It can be repeated under one idempotency key.
func (s *Service) ChangePassword(ctx context.Context, id string, password string, newPassword string) (err error) {
	if id, err = auth.ShopOwn(ctx, id); err != nil {
		return err
	}
	if err := identity.CheckLength("new_password", newPassword); err != nil {
		return err
	}
	r, err := byID(ctx, s.db, id)
	if err != nil {
		return err
	}
	caller, _ := auth.From(ctx)
	own, matches := caller.ID == id, false
	if own {
		if matches, err = s.guess(ctx, r.Email, r.password, password); err != nil {
			return err
		}
	}
	hash, err := s.hasher.Hash(ctx, newPassword)
	if err != nil {
		return err
	}
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out usersapi.ChangePasswordOut, err error) {
		if own && !matches { // no error before: a repeated delivery has an answer waiting
			return out, fault.New(fault.Unauthenticated, "wrong password")
		}
		return out, s.changePassword(ctx, tx, r, hash, own)
	})
	if err != nil {
		return err
	}
	return s.revoked(ctx, id, "")
}

func (s *Service) changePassword(ctx context.Context, tx *db.Tx, r record, hash string, own bool) error {
	changed, err := setPassword(ctx, tx, r, hash)
	switch {
	case err != nil:
		return err
	case !changed:
		return fault.New(fault.Conflict, "the password was changed at the same time: try again")
	}
	if err := s.failuresOf(ctx, r.Email).Forget(ctx, tx); err != nil || own {
		return err
	}
	return audit.Add(ctx, tx, s.now(), "users.ChangePassword", r.ID, nil)
}
