package grpc

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"connectrpc.com/connect"

	"m3o/internal/auth"
	"m3o/internal/shop/users/usersapi"
	"m3o/pkg/shop/v1/shopv1connect"
)

// door finds out who is calling, and states the faults of the services in gRPC's words.
type door struct {
	users    usersapi.Service
	platform func(context.Context, string) (auth.Account, error)
	log      *slog.Logger
}

func newDoor(c Config) *door { return &door{users: c.Users, platform: c.Platform, log: c.Log} }

// open are the procedures that do not look at who is calling: their callers may come with a token that has ended.
var open = []string{shopv1connect.UsersServiceLoginProcedure, shopv1connect.UsersServiceLogoutProcedure}

// WrapUnary does all of that for a call with one answer.
func (d *door) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (answer connect.AnyResponse, err error) {
		ctx, cancel := context.WithTimeout(ctx, timeLimit)
		defer cancel()
		if !slices.Contains(open, r.Spec().Procedure) {
			ctx, err = d.admit(ctx, credential(r.Header()))
		}
		if err == nil {
			answer, err = next(ctx, r)
		}
		if err != nil {
			return nil, d.state(ctx, r.Spec(), err)
		}
		return answer, nil
	}
}

// WrapStreamingClient leaves clients alone: there are none here.
func (*door) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler leaves streams alone: the shop's own services have none.
func (*door) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// admit puts the owner of a token into the context, nobody when there is no token. A JWT, which has three parts, is the
// shop's, any other the platform's.
func (d *door) admit(ctx context.Context, token string) (context.Context, error) {
	if token == "" {
		return ctx, nil
	}
	if strings.Count(token, ".") == 2 {
		account, err := d.users.Authenticate(ctx, token)
		return auth.With(ctx, account.Caller()), err
	}
	account, err := d.platform(ctx, token)
	return auth.With(ctx, account), err
}

// credential is the token of the metadata: "<token>", as the original has it, or "Bearer <token>".
func credential(h http.Header) string {
	text := strings.TrimSpace(h.Get("Authorization"))
	if scheme, token, ok := strings.Cut(text, " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return text
}
