package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"m3o/test/bench/load"
)

// house is what is called: m3o, its upstream, and a customer for each kind of call.
type house struct {
	upstream  *load.Server
	m3o       *load.M3O
	kinds     []kind
	customers map[string]load.Customer // by kind
	tally     *tally
}

// credit is what each customer is given, in micro-dollars: more than any run can spend.
const credit = 1_000_000_000_000

// place is where in a run's directory m3o is.
const place = "run"

func start(p plan, dir string) (*house, error) {
	h := &house{kinds: kinds(), customers: map[string]load.Customer{}}
	if err := h.open(p, dir); err != nil {
		h.stop()
		return nil, err
	}
	return h, nil
}

func (h *house) open(p plan, dir string) (err error) {
	if h.upstream, err = load.Upstream.Start(load.LoadCore, ""); err != nil {
		return err
	}
	binary, err := load.Build(dir)
	if err != nil {
		return err
	}
	// Without a credit of its own, a customer has what it is given here, or nothing.
	if h.m3o, err = binary.Start(filepath.Join(dir, place), p.sync, "M3O_NO_DEMO=true", "M3O_BALANCE_SIGN_UP_CREDIT=0"); err != nil {
		return err
	}
	if err := h.m3o.SignIn(); err != nil {
		return err
	}
	if err := h.m3o.Publish(h.upstream); err != nil {
		return err
	}
	for _, name := range h.names() {
		email := strings.ReplaceAll(strings.ToLower(name), " ", "-") + "@example.com"
		if h.customers[name], err = h.m3o.NewCustomer(email, credited(name)); err != nil {
			return fmt.Errorf("make the customer of %s: %w", name, err)
		}
	}
	return nil
}

// names are the kinds' names, in the order of the report.
func (h *house) names() []string {
	var all []string
	for _, k := range h.kinds {
		all = append(all, k.name)
	}
	return append(all, keys)
}

// credited is what the customer of a kind is given.
func credited(kind string) int64 {
	if kind == noMoney {
		return 0
	}
	return credit
}

func (h *house) stop() {
	if h.m3o != nil {
		_ = h.m3o.Stop()
	}
	_ = h.upstream.Stop()
}

// every is the time between two samples.
const every = 10 * time.Second

// load calls everything at once and tells of it as it goes.
func (h *house) load(p plan) (samples []sample, err error) {
	h.tally = newTally(time.Now())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error)
	go func() { done <- h.callAll(ctx, p) }()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if samples, err = h.sample(samples); err != nil {
				cancel()
				<-done
				return nil, errors.Join(err, h.m3o.Stop())
			}
		case err := <-done:
			if time.Since(h.tally.last) > every/2 && err == nil {
				return h.sample(samples)
			}
			return samples, err
		}
	}
}

// callAll calls every kind, and returns when all have ended.
func (h *house) callAll(ctx context.Context, p plan) error {
	var wait sync.WaitGroup
	errs := make([]error, len(h.kinds)+1)
	for i, k := range h.kinds {
		wait.Go(func() { errs[i] = k.call(ctx, p, h.m3o, h.customers[k.name], h.tally) })
	}
	errs[len(h.kinds)] = changeKeys(ctx, p, h.m3o, h.customers[keys], h.tally)
	wait.Wait()
	return errors.Join(errs...)
}

func (h *house) sample(before []sample) ([]sample, error) {
	rss, err := h.m3o.ResidentBytes()
	if err != nil {
		return before, err
	}
	s := h.tally.sample(time.Now(), rss)
	fmt.Fprintln(os.Stderr, s)
	return append(before, s), nil
}
