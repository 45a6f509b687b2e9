package main

import (
	"fmt"
	"slices"
	"time"

	"m3o/test/bench/load"
)

// side is a server with the request that it is sent.
type side struct {
	server *load.Server
	target load.Target
}

// pair is what m3o is compared with, and m3o, with the rounds of both.
type pair struct {
	sides  [2]side
	rounds [2][]round
}

// The sides of a pair.
const (
	base  = 0
	ofM3O = 1
)

// round is what one round has measured of one side.
type round struct {
	rate        float64       // calls a second
	busy        float64       // the server's part of its core, from 0 to 1
	processor   time.Duration // of the server, a call
	allocations float64       // of the server, a call
	p50, p99    time.Duration // at half of m3o's rate in this pair
}

// results are the rounds of every pair, and what is measured once.
type results struct {
	pairs  []*pair
	direct []float64 // calls a second that the upstream gets without anybody between
	loaded map[*load.Server]int64
}

// measure alternates between the sides, round by round.
func measure(p plan, s *servers) (r results, err error) {
	r = results{pairs: s.pairs(), loaded: map[*load.Server]int64{}}
	for n := range p.rounds + 1 { // the first round warms all up and is dropped
		for _, pair := range r.pairs {
			if err := pair.measure(p, n > 0); err != nil {
				return r, err
			}
		}
		direct, err := s.direct(p)
		if err != nil {
			return r, fmt.Errorf("the upstream: %w", err)
		}
		if n > 0 {
			r.direct = append(r.direct, direct)
		}
	}
	for _, server := range s.measured() {
		if r.loaded[server], err = server.ResidentBytes(); err != nil {
			return r, err
		}
	}
	return r, nil
}

// direct is the rate of the upstream itself.
func (s *servers) direct(p plan) (float64, error) {
	calls, took, err := load.NewTarget(s.upstream.Address, load.UpstreamPath, "", load.Hello).Throughput(p.clients, p.length)
	return float64(calls) / took.Seconds(), err
}

// measure measures a round of both sides, and keeps it or not.
func (p *pair) measure(plan plan, keep bool) error {
	var both [2]round
	for i, side := range p.sides {
		if err := side.throughput(plan, &both[i]); err != nil {
			return fmt.Errorf("throughput of %s: %w", names[i], err)
		}
	}
	for i, side := range p.sides {
		delays, err := side.target.Latencies(both[ofM3O].rate/2, plan.clients, plan.length)
		if err != nil {
			return fmt.Errorf("latency of %s: %w", names[i], err)
		}
		both[i].p50, both[i].p99 = load.Quantile(delays, 50), load.Quantile(delays, 99)
	}
	for i := range both {
		if keep {
			p.rounds[i] = append(p.rounds[i], both[i])
		}
	}
	return nil
}

// throughput measures what a side does as fast as it can.
func (s side) throughput(p plan, r *round) error {
	before, err := s.server.Used()
	if err != nil {
		return err
	}
	calls, took, err := s.target.Throughput(p.clients, p.length)
	if err != nil {
		return err
	}
	after, err := s.server.Used()
	if err != nil {
		return err
	}
	processor := after.Processor - before.Processor
	r.rate, r.busy = float64(calls)/took.Seconds(), processor.Seconds()/took.Seconds()
	r.processor = processor / time.Duration(max(calls, 1))
	r.allocations = float64(after.Allocations-before.Allocations) / float64(max(calls, 1))
	return nil
}

// median is the middle of what of picks from the rounds of one side.
func median[T float64 | time.Duration](rounds []round, of func(round) T) T {
	values := make([]T, len(rounds))
	for i, r := range rounds {
		values[i] = of(r)
	}
	return middle(values)
}

// ratio is the middle of the rounds' ratios of m3o's rate to the other's.
func (p *pair) ratio() float64 {
	ratios := make([]float64, len(p.rounds[base]))
	for i := range ratios {
		ratios[i] = p.rounds[ofM3O][i].rate / p.rounds[base][i].rate
	}
	return middle(ratios)
}

// added is what m3o's p99 is above the other's.
func (p *pair) added() time.Duration {
	return median(p.rounds[ofM3O], p99) - median(p.rounds[base], p99)
}

func middle[T float64 | time.Duration](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}

// What a round has measured, for median.
func rate(r round) float64            { return r.rate }
func busy(r round) float64            { return r.busy }
func allocations(r round) float64     { return r.allocations }
func processor(r round) time.Duration { return r.processor }
func p50(r round) time.Duration       { return r.p50 }
func p99(r round) time.Duration       { return r.p99 }
