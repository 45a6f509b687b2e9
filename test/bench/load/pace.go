package load

import (
	"errors"
	"slices"
	"sync"
	"time"
)

// Throughput counts the calls over clients connections that each ask again as soon as
// they are answered, and says how long they took in all.
func (t Target) Throughput(clients int, length time.Duration) (calls int, took time.Duration, err error) {
	var wait sync.WaitGroup
	counts, errs := make([]int, clients), make([]error, clients)
	begun := time.Now()
	for i := range clients {
		wait.Go(func() { counts[i], errs[i] = t.callUntil(begun.Add(length)) })
	}
	wait.Wait()
	for _, n := range counts {
		calls += n
	}
	return calls, time.Since(begun), errors.Join(errs...)
}

// callUntil calls over one connection until then.
func (t Target) callUntil(end time.Time) (calls int, err error) {
	c, err := t.Dial()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	for ; time.Now().Before(end); calls++ {
		if err := c.Call(); err != nil {
			return calls, err
		}
	}
	return calls, nil
}

// Latencies are the answers' delays at a fixed rate, in calls a second, sorted. A delay
// counts from the moment at which the request was due.
func (t Target) Latencies(rate float64, clients int, length time.Duration) ([]time.Duration, error) {
	connections, delays := make([]*Connection, clients), make([][]time.Duration, clients)
	for i := range clients {
		c, err := t.Dial()
		if err != nil {
			return nil, err
		}
		defer c.Close()
		connections[i] = c
	}
	err := Paced(rate, clients, length, func(i int, due time.Time) error {
		err := connections[i].Call()
		delays[i] = append(delays[i], time.Since(due))
		return err
	})
	all := slices.Concat(delays...)
	slices.Sort(all)
	return all, err
}

// Quantile is the delay that so many per cent of sorted ones stay below; 0 of none.
func Quantile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)*percent/100]
}

// Paced makes calls at a fixed rate, in calls a second, from a number of clients that
// take turns. Each keeps its own times: a client that is behind calls at once until it
// has caught up, so that a slow answer delays nobody's clock and hides from nobody. A
// client ends with its first error.
func Paced(rate float64, clients int, length time.Duration, call func(client int, due time.Time) error) error {
	var wait sync.WaitGroup
	errs := make([]error, clients)
	every := time.Duration(float64(clients) / rate * float64(time.Second))
	begun := time.Now().Add(10 * time.Millisecond)
	for i := range clients {
		wait.Go(func() {
			first := begun.Add(every * time.Duration(i) / time.Duration(clients))
			for due := first; due.Sub(begun) < length && errs[i] == nil; due = due.Add(every) {
				time.Sleep(time.Until(due))
				errs[i] = call(i, due)
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}
