package customers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"m3o/internal/auth"
	"m3o/internal/customers/customersapi"
	"m3o/internal/db"
	"m3o/internal/db/idempotency"
	"m3o/internal/db/throttle"
	"m3o/internal/fault"
	"m3o/internal/identity"
	"m3o/pkg/events/proto/customers"
)

func errUnauthorized() error { return fault.New(fault.Unauthenticated, "Unauthorized") }

func errPassword() error {
	return fault.New(fault.Unauthenticated, "Unauthorized: wrong address or password").WithID("customers.Login")
}

func errRefresh() error {
	return fault.New(fault.Unauthenticated, "Unauthorized: the refresh token is not valid: log in again").WithID("customers.Login")
}

// Login opens a session by address and password, or continues one by its refresh token, which is replaced together with
// the access token. An unknown address, a wrong password and a banned customer are the same fault.Unauthenticated after
// the same work. Failures are throttled by address and client, and more loosely by address alone, all logins by client:
// fault.Limited. A refresh token that comes a second time ends its session.
func (s *Service) Login(ctx context.Context, email string, password string, refreshToken string) (token customersapi.Token, err error) {
	if email == "" && refreshToken == "" {
		return token, fault.BadField("email", "is required, or refresh_token")
	}
	if err := s.logins.take(auth.Client(ctx), s.LoginsPerClient()); err != nil {
		s.IncrementLogins(1, "throttled")
		return token, err
	}
	if refreshToken != "" {
		return s.refresh(ctx, refreshToken)
	}
	address, err := identity.ParseAddress(email)
	if err != nil {
		return token, err
	}
	return s.login(ctx, address, password)
}

// The bounds of failed logins: within which time, and how much more all clients together may fail than one.
const (
	failuresWithin = 5 * time.Minute
	failuresOfAll  = 10
)

// failures is how often logins of an address may fail, the same for those that nobody has: by the client that calls, so
// that a stranger's guesses do not keep the owner out, and by all clients, so that many strangers are bounded too.
func (s *Service) failures(ctx context.Context, address string) throttle.Allowances {
	return throttle.Allowances{
		{ID: "customers.login:" + address + " " + auth.Network(auth.Client(ctx)), Window: failuresWithin, Count: s.LoginsPerAddress()},
		{ID: "customers.login:" + address, Window: failuresWithin, Count: failuresOfAll * s.LoginsPerAddress()},
	}
}

// login counts a failure before it looks at the password, and takes it back when there was none: so parallel guesses
// are counted too.
func (s *Service) login(ctx context.Context, address, password string) (customersapi.Token, error) {
	if err := s.failures(ctx, address).Take(ctx, s.db, s.now); err != nil {
		s.IncrementLogins(1, "throttled")
		return customersapi.Token{}, err
	}
	r, err := owner(ctx, s.db, address)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return customersapi.Token{}, err
	}
	matches, err := s.hasher.Matches(ctx, r.Password, password)
	if err != nil {
		return customersapi.Token{}, err
	}
	if !matches || r.Status != customersapi.IsVerified {
		s.IncrementLogins(1, "refused")
		return customersapi.Token{}, errPassword()
	}
	out, err := idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out customersapi.LoginOut, err error) {
		out.Token, err = s.open(ctx, tx, r)
		return out, err
	})
	if err != nil {
		return customersapi.Token{}, err
	}
	s.IncrementLogins(1, "password")
	return out.Token, s.failures(ctx, address).Give(ctx, s.db)
}

func (s *Service) open(ctx context.Context, tx *db.Tx, r record) (token customersapi.Token, err error) {
	now := s.now()
	current, err := login(ctx, tx, r, now)
	if err != nil {
		return token, err
	}
	if !current {
		return token, errPassword()
	}
	opened := s.newTokens(now)
	if err := openSession(ctx, tx, r.ID, opened); err != nil {
		return token, err
	}
	event := fact(customers.EventType_EventTypeLogin)
	event.Login = &customers.Login{Method: "email"}
	return opened.public(), s.state(ctx, tx, r, event)
}

func (s *Service) newTokens(now time.Time) tokens {
	return tokens{
		access: newToken(accessPrefix), refresh: newToken(refreshPrefix), created: now,
		accessExpires: now.Add(s.AccessLifetime()), refreshExpires: now.Add(s.RefreshLifetime()),
	}
}

// refresh rotates both tokens. Ending the session of a token that was used before is a transaction of its own, for the
// refused one is undone; a repeated delivery of the first use never comes that far.
func (s *Service) refresh(ctx context.Context, old string) (customersapi.Token, error) {
	if !isToken(refreshPrefix, old) {
		s.IncrementLogins(1, "refused")
		return customersapi.Token{}, errRefresh()
	}
	out, err := idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out customersapi.LoginOut, err error) {
		out.Token, err = s.rotate(ctx, tx, old)
		return out, err
	})
	if fault.Is(err, fault.Unauthenticated) {
		return customersapi.Token{}, cmp.Or(s.reused(ctx, old), err)
	}
	if err == nil {
		s.IncrementLogins(1, "refresh")
	}
	return out.Token, err
}

func (s *Service) rotate(ctx context.Context, tx *db.Tx, old string) (token customersapi.Token, err error) {
	opened := s.newTokens(s.now())
	customerID, err := rotate(ctx, tx, old, opened)
	if errors.Is(err, db.ErrNoRows) {
		return token, errRefresh()
	} else if err != nil {
		return token, fmt.Errorf("refresh a session: %w", err)
	}
	r, err := byID(ctx, tx, customerID)
	if err != nil {
		return token, err
	}
	event := fact(customers.EventType_EventTypeTokenRefresh)
	event.TokenRefresh = &customers.TokenRefresh{}
	return opened.public(), s.state(ctx, tx, r, event)
}

// reused ends the session of a refresh token that was used before: one of its two owners is a thief.
func (s *Service) reused(ctx context.Context, old string) error {
	var session, customerID string
	err := s.db.Tx(ctx, func(tx *db.Tx) (err error) {
		session, customerID, err = endReused(ctx, tx, old)
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("end a session: %w", err)
	case session == "":
		s.IncrementLogins(1, "refused")
		return nil
	}
	s.IncrementLogins(1, "reused")
	s.log.WarnContext(ctx, "a refresh token was used twice, its session has ended", "session", session, "customer", customerID)
	return nil
}

// Logout ends the session that calls. It can be repeated.
func (s *Service) Logout(ctx context.Context) (err error) {
	caller, err := auth.Caller(ctx)
	if err != nil {
		return err
	}
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out customersapi.LogoutOut, err error) {
		return out, s.logout(ctx, tx, caller)
	})
	return err
}

func (s *Service) logout(ctx context.Context, tx *db.Tx, caller auth.Account) error {
	ended, err := endSession(ctx, tx, caller.Session, caller.ID)
	if err != nil || !ended {
		return err
	}
	r, err := byID(ctx, tx, caller.ID)
	if err != nil {
		return err
	}
	event := fact(customers.EventType_EventTypeLogout)
	event.Logout = &customers.Logout{}
	return s.state(ctx, tx, r, event)
}

// Inspect is the account that calls.
func (s *Service) Inspect(ctx context.Context) (account customersapi.Account, err error) {
	caller, err := auth.Caller(ctx)
	if err != nil {
		return account, err
	}
	r, err := byID(ctx, s.db, caller.ID)
	if fault.Is(err, fault.NotFound) {
		return account, errUnauthorized()
	} else if err != nil {
		return account, err
	}
	return r.account(), nil
}

// Authenticate finds the live session of an access token by one indexed read; fault.Unauthenticated when there is none,
// it has expired, or its customer is banned or deleted.
func (s *Service) Authenticate(ctx context.Context, accessToken string) (found customersapi.Session, err error) {
	if !isToken(accessPrefix, accessToken) {
		return found, errUnauthorized()
	}
	found, err = session(ctx, s.db, accessToken)
	switch {
	case errors.Is(err, db.ErrNoRows):
		return customersapi.Session{}, errUnauthorized()
	case err != nil:
		return customersapi.Session{}, fmt.Errorf("read a session: %w", err)
	case !found.Expires.After(s.now()):
		return customersapi.Session{}, errUnauthorized()
	}
	return found, nil
}
