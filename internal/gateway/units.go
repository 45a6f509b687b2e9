package gateway

import (
	"net/http"
	"strconv"

	"m3o/internal/money"
	"m3o/internal/publicapi/publicapiapi"
)

// unitsHeader is where a target says how many units its answer is worth.
const unitsHeader = "M3o-Units"

// maximum is how many units a call may cost; that much is held before it.
func maximum(e publicapiapi.EndpointRoute) int64 {
	if e.Units.By == "" || e.Units.By == publicapiapi.ByRequest {
		return 1
	}
	return e.Units.Maximum
}

// charge is what so many units cost, rounded up to a whole micro-dollar. What is
// above the maximum costs nothing.
func charge(e publicapiapi.EndpointRoute, units int64) money.Micros {
	units = min(max(units, 0), maximum(e))
	total, per := int64(e.Price)*units, max(e.Units.Per, 1) // the catalogue sees to it that this fits
	price := total / per
	if total%per > 0 {
		price++
	}
	return money.Micros(price)
}

// unknown are units that are counted while the answer is sent.
const unknown = -1

// unitsOf are the units of an answer of so many bytes that says so of its units. It is
// false when it should have said them and did not: that is one unit.
func unitsOf(e *endpoint, said []string, length int64) (units int64, ok bool) {
	switch e.Units.By {
	case publicapiapi.ByHeader:
		if len(said) == 1 {
			if n, err := strconv.ParseUint(said[0], 10, 63); err == nil {
				return int64(n), true
			}
		}
		return 1, false
	case publicapiapi.ByBytesOut:
		return length, true
	}
	return 1, true
}

// bytesOf is the length of an answer's body, or unknown.
func bytesOf(method string, status int, h http.Header) int64 {
	if method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified {
		return 0
	}
	if n, err := strconv.ParseUint(h.Get("Content-Length"), 10, 63); err == nil {
		return int64(n)
	}
	return unknown
}
