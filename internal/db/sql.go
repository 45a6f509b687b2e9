package db

import (
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
