package limit

import "time"

// Burst is how far what was admitted may be ahead of time: a second's worth of calls may
// come at once.
const Burst = time.Second

const burst = int64(Burst)

// Pace is a rate limit by the generic cell rate algorithm. Its state is the time at which
// all that was admitted would have arrived at an even pace. The zero value has admitted
// nothing. gcra.lua is the same arithmetic, and a test holds both together.
type Pace struct{ arrival int64 } // Unix nanoseconds

// Verdict is the answer to a call under two limits.
type Verdict struct {
	Remaining [2]int        // calls that each would admit at once after this one
	Retry     time.Duration // after which a refused call may be admitted; 0: it is admitted
}

// grant is what one limit gives to a wish for calls.
type grant struct {
	taken     int64
	remaining int64 // could be taken at once after that
	wait      int64 // nanoseconds until the fewest could be taken; 0: they could be now
}

// Admit takes one call from both limits or from neither, at a time in Unix nanoseconds
// and at rates a second. A rate of 0 is no limit. It is take of one call, written for
// speed.
func Admit(now int64, first *Pace, firstRate int, second *Pace, secondRate int) (v Verdict) {
	aheadFirst, everyFirst := first.step(now, firstRate)
	aheadSecond, everySecond := second.step(now, secondRate)
	switch {
	case aheadFirst+everyFirst > burst:
		v.Retry = time.Duration(aheadFirst + everyFirst - burst)
	case aheadSecond+everySecond > burst:
		v.Retry = time.Duration(aheadSecond + everySecond - burst)
	default:
		aheadFirst += everyFirst
		aheadSecond += everySecond
		if firstRate > 0 {
			first.arrival = now + aheadFirst
		}
		if secondRate > 0 {
			second.arrival = now + aheadSecond
		}
	}
	if firstRate > 0 {
		v.Remaining[0] = int((burst - aheadFirst) / everyFirst)
	}
	if secondRate > 0 {
		v.Remaining[1] = int((burst - aheadSecond) / everySecond)
	}
	return v
}

// step is how far the limit is ahead of time, and how much further a call takes it.
func (p Pace) step(now int64, rate int) (ahead, every int64) {
	if rate <= 0 {
		return 0, 0
	}
	return p.ahead(now), interval(rate)
}

// Return gives back one call that was admitted.
func Return(now int64, first *Pace, firstRate int, second *Pace, secondRate int) {
	*first, _ = first.take(now, firstRate, -1, -1)
	*second, _ = second.take(now, secondRate, -1, -1)
}

// take takes as many calls as there are, at most so many, or none when there are not the
// fewest; a negative number gives back. Without a rate it takes nothing and is content.
func (p Pace) take(now int64, rate int, fewest, most int64) (Pace, grant) {
	if rate <= 0 {
		return p, grant{}
	}
	every := interval(rate)
	ahead := p.ahead(now)
	there := (burst - ahead) / every
	taken := min(most, there)
	if taken < fewest {
		return p, grant{remaining: there, wait: ahead + fewest*every - burst}
	}
	ahead, there = ahead+taken*every, there-taken
	if ahead < 0 { // more is given back than still counts
		ahead, there = 0, burst/every
	}
	return Pace{arrival: now + ahead}, grant{taken: taken, remaining: there}
}

// ahead is how far the arrival is ahead of time. One that no admission can have left
// behind is of a clock that has jumped back since, and says nothing.
func (p Pace) ahead(now int64) int64 {
	ahead := p.arrival - now
	if ahead < 0 || ahead > burst {
		return 0
	}
	return ahead
}

// interval is the time between two calls at a rate. It is rounded down, so that the
// first second admits no call too few; up to 30,000 a second it admits none too many.
func interval(rate int) int64 { return max(int64(time.Second)/int64(rate), 1) }

// verdict is the answer of two limits: the first that refuses says how long.
func verdict(a, b grant) Verdict {
	v := Verdict{Remaining: [2]int{int(a.remaining), int(b.remaining)}}
	if v.Retry = time.Duration(a.wait); a.wait == 0 {
		v.Retry = time.Duration(b.wait)
	}
	return v
}
