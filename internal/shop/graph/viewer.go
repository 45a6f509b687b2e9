package graph

import (
	"context"
	"strings"
	"time"

	"m3o/internal/auth"
	"m3o/internal/fault"
)

// viewer is who an operation is for.
type viewer struct {
	token   string
	account auth.Account // of nobody when there is no token
	expires time.Time    // zero: not known here
}

type tokenKey struct{}

// tokenOf is the token that came with the operation.
func tokenOf(ctx context.Context) string {
	token, _ := ctx.Value(tokenKey{}).(string)
	return token
}

// as is the context of an operation of the viewer.
func (v viewer) as(ctx context.Context) context.Context {
	if v.token == "" {
		return ctx
	}
	return context.WithValue(auth.With(ctx, v.account), tokenKey{}, v.token)
}

// credential is the token in an Authorization header: "<token>", as the original has it, or "Bearer <token>".
func credential(header string) string {
	header = strings.TrimSpace(header)
	if scheme, token, _ := strings.Cut(header, " "); strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return header
}

// authenticate finds whose token it is: a JWT (three parts) is the shop's, any other the platform's. No token is nobody,
// and a bad one fault.Unauthenticated.
func (s *Service) authenticate(ctx context.Context, token string) (viewer, error) {
	if token == "" {
		return viewer{}, nil
	}
	if strings.Count(token, ".") == 2 {
		account, err := s.users.Authenticate(auth.AsService(ctx, s.Host()), token)
		return viewer{token, account.Caller(), account.Expires}, refusesToken(err)
	}
	found, err := s.customers.Authenticate(auth.AsService(ctx, s.Host()), token)
	v := viewer{token, auth.Account{ID: found.CustomerID, Type: auth.TypeCustomer, Session: found.ID}, found.Expires}
	if found.Admin {
		v.account.Type = auth.TypeAdmin
	}
	return v, refusesToken(err)
}

// refusesToken says how to go on after a bad token.
func refusesToken(err error) error {
	if fault.Is(err, fault.Unauthenticated) {
		return fault.Wrap(fault.Unauthenticated, err, "the token in Authorization is not valid, has expired or was revoked: log in again, or send none")
	}
	return err
}
