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

// LeaseRequest is what a gateway wants to be leased. It may be sent again, and answers may
// get lost: what was granted beyond what the gateway knows of is granted to it first.
type LeaseRequest struct {
	CustomerID string       `json:"customerID"`
	LeaseID    string       `json:"leaseID"` // lse_…, the gateway's choice; a lease that is not there is opened, one that is closed is not
	Holder     string       `json:"holder"`
	Turn       int64        `json:"turn"`    // counts the gateway's requests on this lease from 1, returns included; one that comes after a later one is fault.Conflict
	Granted    money.Micros `json:"granted"` // what the gateway knows to have been granted on it and has not returned
	Need       money.Micros `json:"need"`
	Want       money.Micros `json:"want"` // at least Need
}

// Lease is a slice of a customer's balance that one gateway may spend.
type Lease struct {
	ID      string       `json:"id"`      // the one asked for; empty when it has been closed
	Granted money.Micros `json:"granted"` // by this call; also what the gateway did not know of
	Expires time.Time    `json:"expires"`

	Elsewhere bool `json:"elsewhere"` // others hold some of the balance: what was not granted may be available any moment
}
