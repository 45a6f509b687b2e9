package publicapiapi

import (
	"strconv"
	"strings"
	"time"

	"m3o/internal/fault"
	"m3o/internal/money"
)

// API is an API on sale, as M3O's clients know it.
type API struct {
	ID           string            `json:"id"`   // api_…
	Name         string            `json:"name"` // lower case, the {service} of /v1/{service}/{endpoint}
	DisplayName  string            `json:"display_name"`
	Description  string            `json:"description"`
	Category     string            `json:"category"`
	Icon         string            `json:"icon"`
	OwnerID      string            `json:"owner_id"`
	OpenAPIJSON  string            `json:"open_api_json"`
	PostmanJSON  string            `json:"postman_json"`
	ExamplesJSON string            `json:"examples_json"`
	Pricing      map[string]Amount `json:"pricing"` // micro-dollars a call by endpoint, e.g. "Db.Create"
	Quotas       map[string]Amount `json:"quotas"`  // free calls a month by endpoint
	Target       string            `json:"target"`  // service:<host>, or an http(s):// base URL
}

// Amount is a whole number that M3O's messages quote. It is read from a number
// or a string.
type Amount int64

// Summary is an API in the catalogue's lists.
type Summary struct {
	Name        string     `json:"name"`
	DisplayName string     `json:"display_name"`
	Description string     `json:"description"`
	Category    string     `json:"category"`
	Icon        string     `json:"icon"`
	Endpoints   []Endpoint `json:"endpoints"`
}

// Endpoint names an endpoint, e.g. "Helloworld.Call".
type Endpoint struct {
	Name string `json:"name"`
}

// Price is an API with the prices of all its endpoints, 0 where none is set.
type Price struct {
	Name        string            `json:"name"`
	ID          string            `json:"id"`
	DisplayName string            `json:"display_name"`
	Icon        string            `json:"icon"`
	Pricing     map[string]Amount `json:"pricing"`
	Quotas      map[string]Amount `json:"quotas"`
}

// Catalogue is what the gateway routes and prices by.
type Catalogue struct {
	Version int64   `json:"version"` // grows with every change
	APIs    []Route `json:"apis"`
}

// Route is an API of the catalogue with its endpoints.
type Route struct {
	Name      string          `json:"name"`
	Target    string          `json:"target"`
	Endpoints []EndpointRoute `json:"endpoints"`
}

// EndpointRoute is one endpoint on sale.
type EndpointRoute struct {
	Name    string        `json:"name"`    // as in usage and prices, e.g. "Helloworld.Call"
	Path    string        `json:"path"`    // at the target
	Price   money.Micros  `json:"price"`   // 0: free while the tier's free calls last, then 1
	Quota   int64         `json:"quota"`   // free calls a month; 0: none
	Stream  bool          `json:"stream"`  // answers with a stream
	Timeout time.Duration `json:"timeout"` // time budget
	Schema  Schema        `json:"schema"`  // types of the request's members
}

// Schema is the JSON type (string, integer, number, boolean, array, object) of
// each member of a request, so that query and form parameters become what the
// endpoint expects.
type Schema map[string]string

// MarshalJSON quotes the number, as M3O does.
func (a Amount) MarshalJSON() ([]byte, error) {
	return []byte(`"` + strconv.FormatInt(int64(a), 10) + `"`), nil
}

// UnmarshalJSON takes 10 and "10".
func (a *Amount) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseInt(strings.Trim(string(text), `"`), 10, 64)
	if err != nil {
		return fault.New(fault.Invalid, "%s is not a whole number", text)
	}
	*a = Amount(n)
	return nil
}
