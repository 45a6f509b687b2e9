package balanceapi

import (
	"time"

	"m3o/internal/money"
)

// Adjustment is a change of a balance that was not a call.
type Adjustment struct {
	ID        string            `json:"id"`
	Created   int64             `json:"created,string"` // Unix seconds
	Delta     money.Micros      `json:"delta,string"`   // below zero: a debit
	Reference string            `json:"reference"`
	Meta      map[string]string `json:"meta"`
}

// Entry is one line of a customer's ledger.
type Entry struct {
	ID        string       `json:"id"`        // of the transfer that made it
	Kind      string       `json:"kind"`      // signup, adjustment, transfer, lease, charge, release, writeoff
	Account   string       `json:"account"`   // available, leased or receivable
	Amount    money.Micros `json:"amount"`    // below zero: the account lost it
	Balance   money.Micros `json:"balance"`   // of the account after the entry
	Reference string       `json:"reference"` // what caused it, for people
	Time      time.Time    `json:"time"`
}

// Lease is a slice of a customer's balance that one gateway may spend.
type Lease struct {
	ID      string       `json:"id"`      // lse_…; empty when nothing was granted
	Granted money.Micros `json:"granted"` // by this call
	Expires time.Time    `json:"expires"`

	Elsewhere bool `json:"elsewhere"` // others hold some of the balance: what was not granted may be available any moment
}
