package gateway

import (
	"strconv"
	"time"
)

// gcra is a rate limit by the generic cell rate algorithm with a burst of one
// second's worth: the state is the time at which all that was admitted would have
// arrived at an even pace. The zero value has admitted nothing.
type gcra struct{ arrival int64 } // Unix nanoseconds

// burst is how far arrivals may be ahead of time.
const burst = int64(time.Second)

// next is the arrival time after one more call at rate a second, and whether the
// call may be admitted now.
func (g gcra) next(now int64, rate int) (arrival int64, ok bool) {
	arrival = max(g.at(now), now) + int64(time.Second)/int64(rate)
	return arrival, arrival-now <= burst
}

// at is the arrival time as of now. One that no admission can have left behind is
// of a clock that has jumped back since, and says nothing.
func (g gcra) at(now int64) int64 {
	if g.arrival > now+burst {
		return now
	}
	return g.arrival
}

// wait is how long until a call that was refused may be admitted.
func wait(arrival, now int64) time.Duration { return time.Duration(arrival - now - burst) }

// remaining is how many calls may come at once.
func (g gcra) remaining(now int64, rate int) int {
	ahead := max(g.at(now)-now, 0)
	return int((burst - ahead) * int64(rate) / int64(time.Second))
}

// limit is a rate limit in force for a call, for the headers.
type limit struct {
	name      string // tier or key
	rate      int    // calls a second
	remaining int
}

// policyOf and stateOf are the RateLimit-Policy and RateLimit fields of the IETF's
// draft-ietf-httpapi-ratelimit-headers.
func policyOf(limits []limit) string {
	return join(limits, `";q=`, func(l limit) int { return l.rate }, ";w=1")
}

func stateOf(limits []limit) string {
	return join(limits, `";r=`, func(l limit) int { return l.remaining }, ";t=1")
}

func join(limits []limit, before string, number func(limit) int, after string) string {
	text := make([]byte, 0, 64)
	for i, l := range limits {
		if i > 0 {
			text = append(text, ", "...)
		}
		text = append(append(append(text, '"'), l.name...), before...)
		text = append(strconv.AppendInt(text, int64(number(l)), 10), after...)
	}
	return string(text)
}
