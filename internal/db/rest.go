package db

import (
	"runtime"
	"time"
)

// nap is short, but long enough that the runtime looks for something else to do.
const nap = 50 * time.Microsecond

// Rest lets requests come before work that nobody waits for. Where Go has a single
// processor, its scheduler looks at the network only when nothing else is ready, and a
// goroutine that works on, or only yields, keeps it from looking. Work that takes longer
// than a fifth of a millisecond calls it in between. With more processors it does
// nothing.
func Rest() {
	if runtime.GOMAXPROCS(0) == 1 {
		time.Sleep(nap)
	}
}
