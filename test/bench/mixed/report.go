package main

import (
	"fmt"
	"io"
	"time"

	"m3o/test/bench/load"
)

// report writes what has happened, in Markdown.
func report(w io.Writer, p plan, h *house, samples []sample, b books) {
	fmt.Fprintf(w, "# %v of everything at once\n\n", p.length)
	fmt.Fprintf(w, "%d calls a second, journal sync %s; m3o on one core, load and upstream on another.\n", p.rate, p.sync)
	reportCalls(w, p, h)
	reportTime(w, samples)
	reportBooks(w, b)
}

func reportCalls(w io.Writer, p plan, h *house) {
	fmt.Fprint(w, "\n## Calls\n\n| kind | calls | a second | 200 | errors |\n|---|---|---|---|---|\n")
	for _, name := range h.names() {
		c := h.tally.of(name)
		fmt.Fprintf(w, "| %s | %d | %.1f | %d | %s |\n", name, c.calls, float64(c.calls)/p.length.Seconds(), c.served(), c.errors())
	}
	for _, complaint := range h.tally.strange {
		fmt.Fprintf(w, "\n- wrong: %s\n", complaint)
	}
}

// rows are about as many as the table over time has.
const rows = 10

func reportTime(w io.Writer, samples []sample) {
	fmt.Fprint(w, "\n## Over time\n\n| after | calls a second | p99 | RSS |\n|---|---|---|---|\n")
	step := max(len(samples)/rows, 1)
	for i := (len(samples) - 1) % step; i < len(samples) && i >= 0; i += step { // so that the last is among them
		s := samples[i]
		fmt.Fprintf(w, "| %v | %.0f | %v | %s |\n", s.at.Round(time.Second), s.rate, s.p99.Round(time.Microsecond), load.Megabytes(s.rss))
	}
	slope, known := growth(samples)
	switch {
	case !known:
		fmt.Fprint(w, "\nThe run was too short to say whether the memory is flat.\n")
	case slope < flatLimit:
		fmt.Fprintf(w, "\nThe memory is flat: %+.2f %% a minute over the second half, limit +%.0f %%.\n", 100*slope, 100*flatLimit)
	default:
		fmt.Fprintf(w, "\n**The memory grows**: %+.2f %% a minute over the second half, limit +%.0f %%.\n", 100*slope, 100*flatLimit)
	}
}

func reportBooks(w io.Writer, b books) {
	fmt.Fprint(w, "\n## Reconciliation\n\nAmounts in micro-dollars.\n\n")
	fmt.Fprint(w, "| kind | answered 200 | no answer | usage | records | answers cost | records cost | spent | balance | sum of entries |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, p := range b.pages {
		fmt.Fprintf(w, "| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d |\n",
			p.kind, p.served, p.lost, p.usage, p.records, p.charged, p.price, p.spent, p.balance, p.entries)
	}
	fmt.Fprintf(w, "\nThe ledger sums to %d; %d accounts are not the sum of their entries.\n", b.ledger, b.mismatches)
	for _, complaint := range b.complaints() {
		fmt.Fprintf(w, "\n- **%s**\n", complaint)
	}
	if len(b.complaints()) == 0 {
		fmt.Fprint(w, "\nAnswered, recorded and charged are the same.\n")
	}
}
