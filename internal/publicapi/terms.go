package publicapi

import (
	"maps"
	"math"
	"slices"
	"time"

	"m3o/internal/fault"
	"m3o/internal/publicapi/publicapiapi"
)

// everyEndpoint is the key for the endpoints that no other key names.
const everyEndpoint = "*"

// terms are what an API says of its endpoints, by the endpoint's name.
type terms struct {
	pricing  map[string]publicapiapi.Amount
	quotas   map[string]publicapiapi.Amount
	metering map[string]publicapiapi.Metering
	timeouts map[string]string
}

// termsOf are the terms of an API. What is wrong with them is fault.Invalid.
func (d *document) termsOf(api publicapiapi.API) (t terms, err error) {
	if t.pricing, err = resolve(d, "api.pricing", api.Pricing, checkAmount); err != nil {
		return t, err
	}
	if t.quotas, err = resolve(d, "api.quotas", api.Quotas, checkAmount); err != nil {
		return t, err
	}
	if t.metering, err = resolve(d, "api.metering", api.Metering, checkMetering); err != nil {
		return t, err
	}
	if t.timeouts, err = resolve(d, "api.timeouts", api.Timeouts, checkTimeout); err != nil {
		return t, err
	}
	return t, t.checkHolds(d)
}

// resolve names the endpoints that the keys of a map mean. The key * is of those that
// no other key names.
func resolve[V any](d *document, field string, given map[string]V, check func(field string, v V) error) (map[string]V, error) {
	found := map[string]V{}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		field := field + "." + key
		if err := check(field, given[key]); err != nil {
			return nil, err
		}
		if key == everyEndpoint {
			continue
		}
		e, ok := d.find(key)
		if !ok {
			return nil, fault.BadField(field, "names no endpoint of the document, which has %s", d.names())
		}
		if _, twice := found[e.name]; twice {
			return nil, fault.BadField(field, "names the endpoint %s a second time", e.name)
		}
		found[e.name] = given[key]
	}
	if rest, ok := given[everyEndpoint]; ok {
		for _, e := range d.endpoints {
			if _, own := found[e.name]; !own {
				found[e.name] = rest
			}
		}
	}
	return found, nil
}

func checkAmount(field string, amount publicapiapi.Amount) error {
	if amount < 0 {
		return fault.BadField(field, "must not be negative")
	}
	return nil
}

// mostUnits bounds the units of a price and of a call.
const mostUnits = 1_000_000_000_000

func checkMetering(field string, m publicapiapi.Metering) error {
	switch {
	case !slices.Contains([]publicapiapi.Unit{"", publicapiapi.ByRequest, publicapiapi.ByBytesOut, publicapiapi.ByHeader}, m.By):
		return fault.BadField(field+".by", "must be request, bytes_out or header")
	case m.Per < 0 || m.Per > mostUnits:
		return fault.BadField(field+".per", "must be from 1 to %d, or left out for 1", mostUnits)
	case m.Maximum < 0 || m.Maximum > mostUnits:
		return fault.BadField(field+".maximum", "must be from 1 to %d", mostUnits)
	case m.Maximum == 0 && unitsOf(m).By != publicapiapi.ByRequest:
		return fault.BadField(field+".maximum", "is needed: it says how many units are held before a call, and charged at most")
	case m.Maximum > 1 && unitsOf(m).By == publicapiapi.ByRequest:
		return fault.BadField(field+".maximum", "must be 1 or left out: a request is one unit")
	}
	return nil
}

// unitsOf is metering with everything that it leaves out.
func unitsOf(m publicapiapi.Metering) publicapiapi.Units {
	u := publicapiapi.Units{By: m.By, Per: max(1, int64(m.Per)), Maximum: max(1, int64(m.Maximum))}
	if u.By == "" {
		u.By = publicapiapi.ByRequest
	}
	return u
}

// checkHolds sees that the gateway can reckon with what a call may cost.
func (t terms) checkHolds(d *document) error {
	for _, e := range d.endpoints {
		if price, most := int64(t.pricing[e.name]), unitsOf(t.metering[e.name]).Maximum; price > math.MaxInt64/most {
			return fault.BadField("api.metering."+e.name+".maximum", "is too much for a price of %d", price)
		}
	}
	return nil
}

// The time budgets that may be set.
const (
	shortestTimeout = 10 * time.Millisecond
	longestTimeout  = 10 * time.Minute
)

func checkTimeout(field, text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < shortestTimeout || d > longestTimeout {
		return fault.BadField(field, "must be a duration from 10ms to 10m, such as 30s")
	}
	return nil
}

// timeout is the time budget of an endpoint.
func (t terms) timeout(e *endpoint) time.Duration {
	if d, err := time.ParseDuration(t.timeouts[e.name]); err == nil {
		return d
	}
	return e.timeout
}
