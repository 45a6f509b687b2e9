package billingapi

import "m3o/internal/money"

// Free is the tier of a customer who never chose one.
const Free = "free"

// Account is a billing account as M3O's clients know it.
type Account struct {
	ID            string         `json:"id"`
	Admins        []string       `json:"admins"`
	Subscriptions []Subscription `json:"subscriptions"`
}

// Subscription is a tier that an account has.
type Subscription struct {
	ID string `json:"id"` // free, solo, pro, business or what the operator has configured
}

// Tier is what a subscription allows.
type Tier struct {
	ID        string           `json:"id"`
	Price     money.Micros     `json:"price"`      // a month
	FreeCalls int64            `json:"free_calls"` // a month, of free endpoints
	Rate      int              `json:"rate"`       // calls a second; 0: no limit
	Caps      map[string]int64 `json:"caps"`       // calls a month by endpoint, lower case; 0: none allowed
}
