package db

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// In writes n parameters from $first on, for an IN list: In(3, 2) is "$3, $4". With n < 1 it is "NULL", which matches
// nothing.
func In(first, n int) string {
	if n < 1 {
		return "NULL"
	}
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(first+i))
	}
	return b.String()
}

// Fill repeats the last of some values until their number is a power of two, for an IN list. So there are few texts of a
// statement, whatever the number of values, and each stays prepared.
func Fill[T any](values []T) []T {
	values = slices.Clip(values) // what follows them is somebody else's
	for n := len(values); n&(n-1) != 0; n++ {
		values = append(values, values[n-1])
	}
	return values
}

// Micro is t as stored: Unix microseconds, 0 for the zero Time.
func Micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time reads what Micro wrote, in UTC; 0 is the zero Time.
func Time(micro int64) time.Time {
	if micro == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micro).UTC()
}
