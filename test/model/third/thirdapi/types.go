package thirdapi

import "time"

// Sight is what a service sees of its caller.
type Sight struct {
	Service   string            `json:"service"`
	Depth     int               `json:"depth"`
	Languages string            `json:"languages"`
	Forwarded map[string]string `json:"forwarded"`
	Baggage   map[string]string `json:"baggage"`
	Trace     string            `json:"trace"`   // W3C traceparent
	Account   string            `json:"account"` // who is calling
	Request   string            `json:"request"` // the request's id
	Now       time.Time         `json:"now"`
	Bounded   bool              `json:"bounded"` // there is a deadline
	Left      time.Duration     `json:"left"`    // until the deadline
	Leaked    bool              `json:"leaked"`  // a value of the caller's Go context has arrived
}

// Leak is the key of a value that callers put into their Go context; it must not arrive.
type Leak struct{}
