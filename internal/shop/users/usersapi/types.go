package usersapi

import (
	"time"

	"m3o/internal/auth"
)

// The types of users.
const (
	TypeDefault = 0
	TypeAdmin   = 1 // an admin of the shop; nobody in the platform
)

// User is somebody of the shop. What proves who it is, is in no answer.
type User struct {
	ID        string    `json:"id"` // usr_…
	Username  string    `json:"username"`
	Email     string    `json:"email"` // in lower case
	Type      int       `json:"type"`  // TypeDefault or TypeAdmin
	CreatedAt time.Time `json:"created_at"`
}

// ShopAccount is whom a live token belongs to, as the user is now.
type ShopAccount struct {
	ID      string    `json:"id"`   // usr_…
	Type    int       `json:"type"` // TypeDefault or TypeAdmin
	Email   string    `json:"email"`
	TokenID string    `json:"token_id"` // which OnTokenRevoked names
	Expires time.Time `json:"expires"`  // when the token does
}

// Caller is the account as services know the one who calls.
func (a ShopAccount) Caller() auth.Account {
	caller := auth.Account{ID: a.ID, Type: auth.TypeShopUser, Session: a.TokenID}
	if a.Type == TypeAdmin {
		caller.Type = auth.TypeShopAdmin
	}
	return caller
}
