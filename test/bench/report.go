package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// round is what one round has measured of one server.
type round struct {
	rate      float64       // calls a second
	processor time.Duration // of the server, a call
	p50, p99  time.Duration // at half of the gateway's rate
}

// results are the rounds of both servers.
type results struct {
	bare, m3o []round
	loadedRSS int64
}

// measure alternates between the servers, round by round.
func measure(p plan, s *servers) (results, error) {
	var r results
	for n := range p.rounds + 1 { // the first round warms both up and is dropped
		bare, err := s.bare.throughput(s.bareTarget, p)
		if err != nil {
			return r, fmt.Errorf("bare: %w", err)
		}
		m3o, err := s.m3o.throughput(s.m3oTarget, p)
		if err != nil {
			return r, fmt.Errorf("m3o: %w", err)
		}
		for _, side := range []struct {
			target target
			round  *round
		}{{s.bareTarget, &bare}, {s.m3oTarget, &m3o}} {
			delays, err := side.target.latencies(m3o.rate/2, p.clients, p.length)
			if err != nil {
				return r, err
			}
			side.round.p50, side.round.p99 = delays[len(delays)/2], delays[len(delays)*99/100]
		}
		if n > 0 {
			r.bare, r.m3o = append(r.bare, bare), append(r.m3o, m3o)
		}
	}
	var err error
	r.loadedRSS, err = residentBytes(s.m3o.command.Process.Pid)
	return r, err
}

func (s *server) throughput(t target, p plan) (round, error) {
	before, err := processorTime(s.command.Process.Pid)
	if err != nil {
		return round{}, err
	}
	rate, err := t.throughput(p.clients, p.length)
	if err != nil {
		return round{}, err
	}
	after, err := processorTime(s.command.Process.Pid)
	calls := rate * p.length.Seconds()
	return round{rate: rate, processor: time.Duration(float64(after-before) / calls)}, err
}

// median is the middle of what of picks from the rounds.
func median[T int64 | float64 | time.Duration](rounds []round, of func(round) T) T {
	values := make([]T, len(rounds))
	for i, r := range rounds {
		values[i] = of(r)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// report prints the table: each figure beside its limit.
func report(w io.Writer, r results, s *servers) error {
	rate := func(r round) float64 { return r.rate }
	processor := func(r round) time.Duration { return r.processor }
	p50, p99 := func(r round) time.Duration { return r.p50 }, func(r round) time.Duration { return r.p99 }
	ratios := make([]float64, len(r.bare))
	for i := range r.bare {
		ratios[i] = r.m3o[i].rate / r.bare[i].rate
	}
	slices.Sort(ratios)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "one core, %d rounds, medians\tbare chi\tm3o metered\t\tlimit\t\n", len(r.bare))
	fmt.Fprintf(t, "calls a second\t%.0f\t%.0f\t%.2f ×\tat least 0.50 ×\t\n", median(r.bare, rate), median(r.m3o, rate), ratios[len(ratios)/2])
	fmt.Fprintf(t, "processor a call\t%v\t%v\t\t\t\n", micros(median(r.bare, processor)), micros(median(r.m3o, processor)))
	fmt.Fprintf(t, "p50 at half load\t%v\t%v\t+ %v\t\t\n", micros(median(r.bare, p50)), micros(median(r.m3o, p50)), micros(median(r.m3o, p50)-median(r.bare, p50)))
	fmt.Fprintf(t, "p99 at half load\t%v\t%v\t+ %v\tat most + 1ms\t\n", micros(median(r.bare, p99)), micros(median(r.m3o, p99)), micros(median(r.m3o, p99)-median(r.bare, p99)))
	fmt.Fprintf(t, "start on an empty directory\t\t%v\t\tunder 1s\t\n", s.started.Round(time.Millisecond))
	fmt.Fprintf(t, "memory, idle\t\t%.1f MB\t\tunder 60 MB\t\n", megabytes(s.idleRSS))
	fmt.Fprintf(t, "memory, after the load\t\t%.1f MB\t\t\t\n", megabytes(r.loadedRSS))
	fmt.Fprintf(t, "binary, stripped\t\t%.1f MB\t\tunder 60 MB\t\n", megabytes(s.binary))
	return t.Flush()
}

func micros(d time.Duration) time.Duration { return d.Round(time.Microsecond) }

func megabytes(n int64) float64 { return float64(n) / 1e6 }
