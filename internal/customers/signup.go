package customers

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"

	"m3o/internal/auth"
	"m3o/internal/customers/customersapi"
	"m3o/internal/db"
	"m3o/internal/db/idempotency"
	"m3o/internal/db/throttle"
	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/identity"
	"m3o/pkg/events/proto/customers"
)

const namespace = "micro" // the one that M3O's clients expect

func errExists() error {
	return fault.New(fault.Invalid, "Customer with this email already exists").WithID("customers.create.exists")
}

func errRefused() error {
	return fault.New(fault.Forbidden, "this e-mail address cannot sign up here")
}

func errCode() error { return fault.New(fault.Forbidden, "The token you provided is invalid") }

func errCodeExpired() error { return fault.New(fault.Forbidden, "The token you provided has expired") }

// SignUp mails a verification code to an address and makes an unverified customer of it. Repeating it sends a new code
// and changes nothing else. A verified address is fault.Invalid, a banned or blocked one fault.Forbidden; too many in a
// while, by address or by client, are fault.Limited. When the mail cannot be left at emails, it is fault.Unavailable and
// a new call sends a new code.
func (s *Service) SignUp(ctx context.Context, email string) (err error) {
	address, err := identity.ParseAddress(email)
	if err != nil {
		return err
	}
	if err := s.signUps.take(auth.Client(ctx), s.SignUpsPerClient()); err != nil {
		return err
	}
	if err := s.lists.Load().check(address); err != nil {
		return err
	}
	var text string // stays empty when the call is a repeated delivery
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out customersapi.SignUpOut, err error) {
		text = newCode()
		return out, s.signUp(ctx, tx, address, text)
	})
	if err != nil || text == "" {
		return err
	}
	return s.mail(ctx, address, "Your m3o verification code", "Welcome to m3o. Your verification code is", text, s.CodeLifetime())
}

func (s *Service) signUp(ctx context.Context, tx *db.Tx, address, text string) error {
	now := s.now()
	if refused, err := isRefused(ctx, tx, address); err != nil {
		return err
	} else if refused {
		return errRefused()
	}
	fresh := record{Customer: customersapi.Customer{ID: id.New("cus"), Status: customersapi.Unverified, Email: address}}
	created, err := insert(ctx, tx, fresh, now)
	if err != nil {
		return err
	}
	r, err := owner(ctx, tx, address)
	if err != nil {
		return err
	}
	switch r.Status {
	case customersapi.IsVerified:
		return errExists()
	case customersapi.Banned:
		return errRefused()
	}
	if err := s.mails(address).Take(ctx, tx, s.now); err != nil {
		return err
	}
	if err := putCode(ctx, tx, address, forVerify, text, now.Add(s.CodeLifetime())); err != nil || !created {
		return err
	}
	event := fact(customers.EventType_EventTypeCreated)
	event.Created = &customers.Created{}
	return s.state(ctx, tx, r, event)
}

// mails is how many mails an address may ask for; the same for those that nobody has.
func (s *Service) mails(address string) throttle.Allowance {
	return throttle.Allowance{ID: "customers.mail:" + address, Window: time.Hour, Count: s.SignUpsPerAddress()}
}

// mail leaves a mail with a code, alone on its line, at emails.
func (s *Service) mail(ctx context.Context, to, subject, intro, code string, lifetime time.Duration) error {
	text := intro + "\n\n" + code + "\n\nIt is valid for " + spoken(lifetime) +
		" and works once. If you did not ask for it, you need not do anything.\n"
	if _, err := s.emails.Send(ctx, to, subject, text); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the mail could not be sent: ask for a new code")
	}
	return nil
}

// spoken is a duration as a person writes it.
func spoken(d time.Duration) string {
	if minutes := d / time.Minute; minutes > 1 && d%time.Minute == 0 {
		return fmt.Sprintf("%d minutes", minutes)
	}
	return d.String()
}

// Verify turns the code of SignUp into a verified customer with that password and opens a session. A wrong, used or
// void code is fault.Forbidden and so is an expired one; a weak password is fault.Invalid and costs no try. The sign-up
// credit follows from the fact Verified, of which there is one a customer.
func (s *Service) Verify(ctx context.Context, email, token, secret string) (httpResponseBody customersapi.Verified, err error) {
	address, err := identity.ParseAddress(email)
	if err != nil {
		return httpResponseBody, err
	}
	attempt, err := s.attempt(ctx, address, forVerify, token, "secret", secret)
	if err != nil {
		return httpResponseBody, err
	}
	verified := false
	out, err := idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out customersapi.VerifyOut, err error) {
		verified = true
		out.HTTPResponseBody, err = s.verify(ctx, tx, attempt)
		return out, err
	})
	if err != nil {
		return httpResponseBody, err
	}
	if verified {
		s.IncrementSignUps(1)
	}
	s.settle(ctx, out.HTTPResponseBody.CustomerID)
	return out.HTTPResponseBody, nil
}

func (s *Service) verify(ctx context.Context, tx *db.Tx, a attempt) (v customersapi.Verified, err error) {
	now := s.now()
	if err := a.use(ctx, tx, s.CodeTries(), now); err != nil {
		return v, err
	}
	r, err := verify(ctx, tx, a.address, a.password, now)
	if fault.Is(err, fault.NotFound) {
		return v, errCode()
	} else if err != nil {
		return v, err
	}
	opened := s.newTokens(now)
	if err := openSession(ctx, tx, r.ID, opened); err != nil {
		return v, err
	}
	signup := fact(customers.EventType_EventTypeSignup)
	signup.Signup = &customers.Signup{Method: "email"}
	v = customersapi.Verified{AuthToken: opened.public(), CustomerID: r.ID, Namespace: namespace}
	return v, errors.Join(s.state(ctx, tx, r, fact(customers.EventType_EventTypeVerified)), s.state(ctx, tx, r, signup))
}

// Recover mails a recovery code to a verified customer. For an address that nobody has the answer is the same and so is
// the work, now and in ResetPassword: there is a code too, but no mail goes out. Throttled like SignUp.
func (s *Service) Recover(ctx context.Context, email string) (err error) {
	address, err := identity.ParseAddress(email)
	if err != nil {
		return err
	}
	if err := s.signUps.take(auth.Client(ctx), s.SignUpsPerClient()); err != nil {
		return err
	}
	var text string // stays empty when the call is a repeated delivery
	var known bool
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out customersapi.RecoverOut, err error) {
		text = newCode()
		known, err = s.recover(ctx, tx, address, text)
		return out, err
	})
	switch {
	case err != nil || text == "":
		return err
	case !known: // one more commit, as leaving a mail is
		return touchCode(ctx, s.db, address, forRecover)
	}
	return s.mail(ctx, address, "Your m3o recovery code", "Somebody asked to reset your m3o password. The code for it is", text, s.RecoveryLifetime())
}

func (s *Service) recover(ctx context.Context, tx *db.Tx, address, text string) (known bool, err error) {
	now := s.now()
	if err := s.mails(address).Take(ctx, tx, s.now); err != nil {
		return false, err
	}
	r, err := owner(ctx, tx, address)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return false, err
	}
	known = r.Status == customersapi.IsVerified
	return known, putCode(ctx, tx, address, forRecover, text, now.Add(s.RecoveryLifetime()))
}

// ResetPassword sets a new password by the code of Recover and ends every session of the account, also the caller's.
// Codes and passwords are refused as in Verify.
func (s *Service) ResetPassword(ctx context.Context, email, token, password string) (err error) {
	address, err := identity.ParseAddress(email)
	if err != nil {
		return err
	}
	attempt, err := s.attempt(ctx, address, forRecover, token, "password", password)
	if err != nil {
		return err
	}
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out customersapi.ResetPasswordOut, err error) {
		return out, s.resetPassword(ctx, tx, attempt)
	})
	return err
}

func (s *Service) resetPassword(ctx context.Context, tx *db.Tx, a attempt) error {
	now := s.now()
	if err := a.use(ctx, tx, s.CodeTries(), now); err != nil {
		return err
	}
	r, err := reset(ctx, tx, a.address, a.password, now)
	if fault.Is(err, fault.NotFound) {
		return errCode()
	} else if err != nil {
		return err
	}
	if err := endSessions(ctx, tx, r.ID); err != nil {
		return err
	}
	if err := s.failures(ctx, a.address).Forget(ctx, tx); err != nil {
		return err
	}
	event := fact(customers.EventType_EventTypePasswordReset)
	event.PasswordReset = &customers.PasswordReset{}
	return s.state(ctx, tx, r, event)
}

// attempt is a try to use a code for a new password.
type attempt struct {
	address, purpose string
	code             code
	password         string // PHC
	refused          error  // why the code is no good
}

// attempt checks password and code before the transaction. A wrong code is counted first and for good: of parallel
// tries no more than CodeTries can be wrong before the right one is void too. That a code is no good is not yet an error
// here, for a repeated delivery has an answer waiting.
func (s *Service) attempt(ctx context.Context, address, purpose, token, field, password string) (a attempt, err error) {
	if err := identity.CheckPassword(field, password, address); err != nil {
		return a, err
	}
	a = attempt{address: address, purpose: purpose}
	a.code, err = readCode(ctx, s.db, address, purpose)
	given := digest(strings.TrimSpace(token))
	switch {
	case errors.Is(err, db.ErrNoRows):
		a.refused = errCode()
		return a, nil
	case err != nil:
		return a, err
	case subtle.ConstantTimeCompare([]byte(given), []byte(a.code.digest)) == 0 || a.code.tries >= s.CodeTries():
		a.refused = errCode()
		return a, missCode(ctx, s.db, address, purpose, a.code)
	case !a.code.expires.After(s.now()):
		a.refused = errCodeExpired()
		return a, nil
	}
	a.password, err = s.hasher.Hash(ctx, password)
	return a, err
}

// use consumes the code.
func (a attempt) use(ctx context.Context, tx *db.Tx, tries int, now time.Time) error {
	if a.refused != nil {
		return a.refused
	}
	good, err := useCode(ctx, tx, a.address, a.purpose, a.code, tries, now)
	if err != nil || good {
		return err
	}
	return errCode()
}
