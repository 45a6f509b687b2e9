package keysapi

import "time"

// The reasons for which a key may be blocked.
const (
	BlockedByBan   = "banned" // the customer is banned; follows the customer's status
	BlockedByAdmin = "admin"  // BlockKey
)

// Block is one reason for which a key is refused.
type Block struct {
	Reason  string `json:"reason"`
	Message string `json:"message"` // shown to the caller after "Request blocked. "
}

// Key is a key as its owner sees it.
type Key struct {
	ID          string     `json:"id"` // key_…
	Description string     `json:"description"`
	CreatedTime int64      `json:"created_time,string"` // Unix seconds
	LastSeen    int64      `json:"last_seen,string"`    // Unix seconds; 0: never
	Scopes      []string   `json:"scopes"`
	Prefix      string     `json:"prefix"` // the first characters of the key, to recognise it by
	Blocked     []Block    `json:"blocked"`
	Expires     *time.Time `json:"expires"` // null: never
	Rate        int        `json:"rate"`    // requests a second; 0: no limit of its own
}

// Record is what the gateway knows of a key.
type Record struct {
	ID         string    `json:"id"`
	CustomerID string    `json:"customer_id"`
	Scopes     []string  `json:"scopes"` // lower case; "*" is every API
	Blocked    []Block   `json:"blocked"`
	Expires    time.Time `json:"expires"` // zero: never
	Rate       int       `json:"rate"`    // requests a second; 0: no limit of its own
}

// Seen says when a key was used.
type Seen struct {
	KeyID string    `json:"key_id"`
	Time  time.Time `json:"time"`
}

// Change says that something which gateways remember is not as it was.
type Change struct {
	Source  string `json:"source"`  // the host of the service that changed it; empty: every service
	Subject string `json:"subject"` // what was changed, such as a customer's id; empty: everything
}
