package customersapi

import "time"

// The states of a customer.
const (
	Unverified = "unverified"
	IsVerified = "verified"
	Banned     = "banned"
	Deleted    = "deleted"
)

// Customer is an account as M3O's clients know it.
type Customer struct {
	ID      string            `json:"id"`     // cus_…
	Status  string            `json:"status"` // unverified, verified, banned or deleted
	Email   string            `json:"email"`
	Name    string            `json:"name"`
	Created int64             `json:"created,string"` // Unix seconds
	Updated int64             `json:"updated,string"` // Unix seconds
	Meta    map[string]string `json:"meta"`
}

// Token is a pair of tokens. The refresh token works once: using it gives a new
// pair, using it again ends the session.
type Token struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	Created      int64  `json:"created,string"` // Unix seconds
	Expiry       int64  `json:"expiry,string"`  // of the access token, Unix seconds
}

// Verified is the answer to Verify, with M3O's names.
type Verified struct {
	AuthToken  Token  `json:"authToken"`
	CustomerID string `json:"customerID"`
	Namespace  string `json:"namespace"` // always "micro"
}

// Account is who a session belongs to.
type Account struct {
	ID     string   `json:"id"`
	Email  string   `json:"email"`
	Name   string   `json:"name"`
	Type   string   `json:"type"`   // customer, or user for an admin
	Scopes []string `json:"scopes"` // ["customer"] or ["admin"]
}

// Session is a live session.
type Session struct {
	ID         string    `json:"id"`
	CustomerID string    `json:"customer_id"`
	Admin      bool      `json:"admin"`
	Expires    time.Time `json:"expires"`
}
