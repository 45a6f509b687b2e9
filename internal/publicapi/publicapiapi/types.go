package publicapiapi

import (
	"log/slog"
	"net/http"
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

	// What M3O does not know is absent unless it is used, so that its clients see what they always saw.

	Metering    map[string]Metering `json:"metering,omitzero"`    // by endpoint: what the price is for, if not for a request
	Timeouts    map[string]string   `json:"timeouts,omitzero"`    // time budget by endpoint, "10ms" to "10m"
	Validate    *bool               `json:"validate,omitzero"`    // requests are held to the document before they are forwarded
	Credentials map[string]Secret   `json:"credentials,omitzero"` // by header, sent to the target with each request; shown as Masked
}

// Metering says what an endpoint's price is for. The zero Metering is a price for
// each request.
type Metering struct {
	By      Unit   `json:"by"`      // empty: ByRequest
	Per     Amount `json:"per"`     // the price is for this many units; 0: 1
	Maximum Amount `json:"maximum"` // units that a call may cost, held before it; needed unless by is ByRequest
}

// Unit is what an endpoint sells.
type Unit string

// The units.
const (
	ByRequest  Unit = "request"   // one for each request
	ByBytesOut Unit = "bytes_out" // one for each byte of the answer's body
	ByHeader   Unit = "header"    // as many as the target says in its answer's M3O-Units
)

// Secret is a text that is written as Masked wherever it is printed or logged; only
// its JSON has it as it is.
type Secret string

// Masked stands where a Secret is not shown. Handed in, it means the one that is
// stored.
const Masked = "********"

// String is Masked, also for %v and %s.
func (Secret) String() string { return Masked }

// GoString is Masked, for %#v.
func (Secret) GoString() string { return Masked }

// LogValue is Masked, for slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(Masked) }

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

// Endpoint says how an endpoint is called.
type Endpoint struct {
	Name   string `json:"name"`   // e.g. "Helloworld.Call"
	Method string `json:"method"` // e.g. "POST"
	Path   string `json:"path"`   // at the gateway, e.g. "/v1/helloworld/call" or "/v1/pets/pets/{petId}"
	Price  Amount `json:"price"`  // micro-dollars a call, or for as many units as its metering says
}

// Price is an API with the prices of all its endpoints, 0 where none is set.
type Price struct {
	Name        string            `json:"name"`
	ID          string            `json:"id"`
	DisplayName string            `json:"display_name"`
	Icon        string            `json:"icon"`
	Pricing     map[string]Amount `json:"pricing"`
	Quotas      map[string]Amount `json:"quotas"`
	Endpoints   []Endpoint        `json:"endpoints"`
}

// Catalogue is what the gateway routes and prices by.
type Catalogue struct {
	Version int64   `json:"version"` // grows with every change
	APIs    []Route `json:"apis"`
}

// Route is an API of the catalogue with its endpoints.
type Route struct {
	Name      string            `json:"name"`
	Target    string            `json:"target"`
	Header    map[string]Sealed `json:"header"` // set on each request to the target in place of the caller's, by canonical name; for gateways only
	Broken    string            `json:"broken"` // why no call can be served, for the operator; empty: calls can be
	Endpoints []EndpointRoute   `json:"endpoints"`
}

// EndpointRoute is one endpoint on sale. It is called by its name, as
// /v1/{service}/{endpoint}, when its Pattern has no parameters, and by its Method and
// Pattern when it has one. Where both fit a call, the one that is called by Method and
// Pattern is meant, then the one by Name, then the one by Alias.
type EndpointRoute struct {
	Name    string        `json:"name"`    // as in usage and prices, e.g. "Helloworld.Call"
	Alias   string        `json:"alias"`   // another name that calls may use, which it had before; empty: none
	Method  string        `json:"method"`  // e.g. "GET"; empty: POST, by name only, as in M3O
	Pattern string        `json:"pattern"` // at the gateway below /v1/{service}, e.g. "/pets/{petId}", escaped; empty: by name only
	Path    string        `json:"path"`    // at the target, with the Pattern's parameters, escaped
	Price   money.Micros  `json:"price"`   // for Units.Per units; 0: free while the tier's free calls last, then 1
	Quota   int64         `json:"quota"`   // free calls a month; 0: none
	Units   Units         `json:"units"`   // what the price is for
	Stream  bool          `json:"stream"`  // answers with a stream
	Timeout time.Duration `json:"timeout"` // time budget
	Schema  Schema        `json:"schema"`  // types of the request's members
	Checks  *Checks       `json:"checks"`  // what a request must be; nil: anything
}

// Units says what a price is for: a call of n units costs price × n / Per, rounded up
// to a whole micro-dollar. For n up to Maximum, price × n fits an int64.
type Units struct {
	By      Unit  `json:"by"`      // empty is ByRequest
	Per     int64 `json:"per"`     // at least 1, but 0 in the zero Units, which is one request
	Maximum int64 `json:"maximum"` // at most this many are held and charged; 1 for ByRequest
}

// Checks are JSON Schemas (2020-12) of a request. They refer to nothing outside
// themselves; formats are stated, not asserted. An empty text takes anything.
type Checks struct {
	Body     string `json:"body"`     // of a JSON body
	Required bool   `json:"required"` // there must be a body
	Query    string `json:"query"`    // of an object with the query's parameters, repeated ones as a list
	Path     string `json:"path"`     // of an object with the path's parameters
}

// Address is how callers reach the endpoint of that API at the gateway, e.g. POST
// and "/v1/helloworld/call".
func (e EndpointRoute) Address(api string) (method, path string) {
	if e.Pattern != "" {
		return e.Method, "/v1/" + api + e.Pattern
	}
	_, short, dotted := strings.Cut(e.Name, ".")
	if !dotted {
		short = e.Name
	}
	if short != "" {
		short = strings.ToLower(short[:1]) + short[1:]
	}
	return http.MethodPost, "/v1/" + api + "/" + short
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
