package customers

import (
	"fmt"
	"testing"
	"time"

	"m3o/internal/fault"
)

func TestLimiterIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	l := newLimiter(time.Minute, func() time.Time { return now })
	for i := range limiterMax + 10 {
		if err := l.take(fmt.Sprintf("2001:db8:%x:%x::1", i>>16, i&0xffff), 1); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(l.usedUp); n > limiterMax {
		t.Errorf("%d clients are remembered", n)
	}
	now = now.Add(time.Hour)
	for i := range limiterMax {
		if err := l.take(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&0xff, i&0xff), 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.take("10.0.0.1", 1); !fault.Is(err, fault.Limited) {
		t.Errorf("err = %v: a client with a used up allowance was forgotten", err)
	}
}
