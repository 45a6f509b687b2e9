package grpc

import (
	"context"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"m3o/internal/shop/users/usersapi"
	shopv1 "m3o/pkg/shop/v1"
	"m3o/pkg/shop/v1/shopv1connect"
)

// users is UsersService over its contract.
type users struct{ service usersapi.Service }

var _ shopv1connect.UsersServiceHandler = users{}

func (u users) GetUser(ctx context.Context, r *connect.Request[shopv1.GetUserRequest]) (*connect.Response[shopv1.GetUserResponse], error) {
	found, err := u.service.GetUser(ctx, r.Msg.GetId())
	return connect.NewResponse(&shopv1.GetUserResponse{User: userOf(found)}), err
}

func (u users) GetUsers(ctx context.Context, r *connect.Request[shopv1.GetUsersRequest]) (*connect.Response[shopv1.GetUsersResponse], error) {
	found, next, err := u.service.GetUsers(ctx, r.Msg.GetSearch(), int(r.Msg.GetLimit()), r.Msg.GetCursor())
	return connect.NewResponse(&shopv1.GetUsersResponse{Users: each(found, userOf), NextCursor: next}), err
}

func (u users) Login(ctx context.Context, r *connect.Request[shopv1.LoginRequest]) (*connect.Response[shopv1.LoginResponse], error) {
	token, err := u.service.Login(ctx, r.Msg.GetEmail(), r.Msg.GetPassword())
	return connect.NewResponse(&shopv1.LoginResponse{Token: token}), err
}

func (u users) Logout(ctx context.Context, r *connect.Request[shopv1.LogoutRequest]) (*connect.Response[shopv1.LogoutResponse], error) {
	return connect.NewResponse(&shopv1.LogoutResponse{}), u.service.Logout(ctx, credential(r.Header()))
}

func (u users) RegisterUser(ctx context.Context, r *connect.Request[shopv1.RegisterUserRequest]) (*connect.Response[shopv1.RegisterUserResponse], error) {
	made, err := u.service.RegisterUser(ctx, r.Msg.GetEmail(), r.Msg.GetUsername(), r.Msg.GetPassword(), int(r.Msg.GetType()))
	return connect.NewResponse(&shopv1.RegisterUserResponse{User: userOf(made)}), err
}

func userOf(u usersapi.User) *shopv1.User {
	return &shopv1.User{Id: u.ID, Username: u.Username, Email: u.Email, Type: int32(u.Type), CreatedAt: timestamppb.New(u.CreatedAt)}
}

// each converts a list.
func each[From, To any](all []From, convert func(From) To) []To {
	converted := make([]To, len(all))
	for i, one := range all {
		converted[i] = convert(one)
	}
	return converted
}
