package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// The limits.
const (
	pageRatio     = 0.3 // of the bare handler's requests a second
	productLimit  = 5 * time.Millisecond
	sqliteOrders  = 4000.0 // a second
	postgresOrder = 2000.0
	orderLimit    = 20 * time.Millisecond
)

// report prints the table: each figure beside its limit.
func (r *results) report(w io.Writer, p plan) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "medians of %d, %d clients\t\tlimit\t\n", p.rounds, p.clients)
	line := func(name, value, limit string, kept bool) {
		if !kept {
			limit += ": short"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t\n", name, value, limit)
	}
	line("page of 20 products, bare chi", said(r.bare), "", true)
	line("page of 20 products, m3o", said(r.page), "", true)
	ratio := middle(r.ratios)
	line("m3o to bare chi", fmt.Sprintf("%.2f ×", ratio), fmt.Sprintf("at least %.2f", pageRatio), ratio >= pageRatio)
	p99 := middle(r.product)
	line("product(id), p99 at half load", p99.Round(time.Microsecond).String(), "under "+productLimit.String(), p99 < productLimit)
	for _, engine := range []struct {
		name   string
		got    *orders
		atRate float64
	}{{"SQLite", r.sqlite, sqliteOrders}, {"Postgres", r.postgres, postgresOrder}} {
		if engine.got == nil {
			continue
		}
		line("placeOrder on "+engine.name, fmt.Sprintf("%.0f/s", engine.got.rate), fmt.Sprintf("at least %.0f", engine.atRate), engine.got.rate >= engine.atRate)
		line("placeOrder on "+engine.name+", p99", engine.got.p99.Round(time.Microsecond).String(), "under "+orderLimit.String(), engine.got.p99 < orderLimit)
	}
	return t.Flush()
}

// said is the rate of a server, and its processor time for a call.
func said(rounds []round) string {
	rates, processors := make([]float64, len(rounds)), make([]time.Duration, len(rounds))
	for i, r := range rounds {
		rates[i], processors[i] = r.rate, r.processor
	}
	return fmt.Sprintf("%.0f/s, %s", middle(rates), middle(processors).Round(time.Microsecond))
}
