package usageapi

import (
	"strconv"
	"strings"
	"time"

	"m3o/internal/fault"
	"m3o/internal/money"
)

// The names of monthly allowances that LeaseQuota knows; an endpoint's are
// followed by its name, e.g. "quota:Helloworld.Call".
const (
	FreeCalls     = "free"   // the tier's free calls: counts calls of free endpoints
	EndpointQuota = "quota:" // an endpoint's free calls: counts its calls
	EndpointCap   = "cap:"   // a tier's cap on an endpoint: counts its calls
)

// Call is a served call on its way into the record.
type Call struct {
	RequestID  string        `json:"request_id"`
	CustomerID string        `json:"customer_id"`
	KeyID      string        `json:"key_id"`
	Service    string        `json:"service"`  // the API, e.g. "helloworld"
	Endpoint   string        `json:"endpoint"` // e.g. "Helloworld.Call"
	Status     int           `json:"status"`
	Price      money.Micros  `json:"price"`
	Duration   time.Duration `json:"duration"`
	Time       time.Time     `json:"time"`
	Lease      string        `json:"lease"`  // the lease of money that pays; empty: none needed, or it was closed
	Quotas     []string      `json:"quotas"` // the leases of allowances that it used
	Free       bool          `json:"free"`   // used one of the tier's free calls
}

// Record is a served call as its customer sees it.
type Record struct {
	RequestID  string       `json:"request_id"`
	KeyID      string       `json:"key_id"`
	Service    string       `json:"service"`
	Endpoint   string       `json:"endpoint"`
	Status     int          `json:"status"`
	Price      money.Micros `json:"price"`
	DurationUS int64        `json:"duration_us"`
	Time       time.Time    `json:"time"`
}

// Usage is the calls of one API, or of one endpoint.
type Usage struct {
	APIName string `json:"api_name"`
	Records []Day  `json:"records"` // oldest first
}

// Day is the calls of one UTC day.
type Day struct {
	Date     string `json:"date"` // 2006-01-02
	Requests int64  `json:"requests,string"`
}

// QuotaRequest is what a gateway wants of a monthly allowance. It names the lease, which is
// granted once: the gateway asks for the same one until it is told that it has it.
type QuotaRequest struct {
	CustomerID string `json:"customerID"`
	LeaseID    string `json:"leaseID"` // qls_…, the gateway's choice, another for each lease
	Holder     string `json:"holder"`
	Name       string `json:"name"`  // of the allowance
	Limit      int64  `json:"limit"` // units a month
	Want       int64  `json:"want"`  // units at most
}

// QuotaLease is a part of a monthly allowance that one gateway may use up.
type QuotaLease struct {
	ID      string    `json:"id"`      // empty when nothing is granted
	Granted int64     `json:"granted"` // units; 0: the allowance is used up
	Expires time.Time `json:"expires"` // unused units are the allowance's again

	Elsewhere bool `json:"elsewhere"` // others hold some: what was not granted may be left any moment
}

// Count is a number of calls; it is a quoted number on the wire, as in M3O.
type Count int64

// MarshalJSON quotes the number.
func (c Count) MarshalJSON() ([]byte, error) {
	return []byte(`"` + strconv.FormatInt(int64(c), 10) + `"`), nil
}

// UnmarshalJSON takes 10 and "10".
func (c *Count) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseInt(strings.Trim(string(text), `"`), 10, 64)
	if err != nil {
		return fault.New(fault.Invalid, "%s is not a whole number", text)
	}
	*c = Count(n)
	return nil
}
