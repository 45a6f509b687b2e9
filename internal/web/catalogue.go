package web

import (
	"strings"

	"m3o/internal/money"
)

// Catalogue is what is on sale, as the pages and the OpenAPI document show it.
type Catalogue struct {
	Version int64 // grows with every change
	APIs    []API
}

// API is an API on sale.
type API struct {
	Name        string // the {service} of its paths
	DisplayName string
	Description string
	Category    string
	Icon        string // an emoji; anything else is not shown
	Endpoints   []Endpoint
	Document    []byte // its OpenAPI document; empty: none
}

// Endpoint is what can be called.
type Endpoint struct {
	Name   string       // e.g. "Helloworld.Call"
	Method string       // empty: POST
	Path   string       // at this server, e.g. "/v1/helloworld/call"
	Price  money.Micros // a call; 0: free while the tier's free calls last
	Free   int64        // free calls a month; 0: none
	Stream bool
}

// Short is the name without the API's.
func (e Endpoint) Short() string {
	_, short, ok := strings.Cut(e.Name, ".")
	if !ok {
		return e.Name
	}
	return short
}

// Cost is the price of a call in dollars, to the last digit that counts.
func (e Endpoint) Cost() string {
	if e.Price == 0 {
		return "free"
	}
	text := strings.TrimRight(e.Price.String(), "0")
	if point := strings.IndexByte(text, '.'); len(text)-point < 3 { // cents, at least
		text += strings.Repeat("0", 3-(len(text)-point))
	}
	return text
}
