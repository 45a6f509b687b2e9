package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"m3o/internal/app"
	"m3o/test/bench/load"
)

// away is the service that runs in a process of its own.
const away = "helloworld"

// credit is more than a run can spend, in micro-dollars.
const credit = 1_000_000_000_000

// gateways are the same m3o twice, both on the first core: as one process, and with the called service in another
// process behind NATS.
type gateways struct {
	dir   string
	one   door
	split door
	home  *load.Server
	nats  *load.Server
}

// door is a gateway with the request that it is sent.
type door struct {
	*load.M3O
	target load.Target
}

func startGateways() (g *gateways, err error) {
	g = &gateways{}
	defer func() {
		if err != nil {
			g.stop()
		}
	}()
	if g.dir, err = os.MkdirTemp("", "m3o-split-"); err != nil {
		return g, err
	}
	binary, err := load.Build(g.dir)
	if err != nil {
		return g, err
	}
	if g.nats, err = load.NATS.Start(load.ServerCore, filepath.Join(g.dir, "nats")); err != nil {
		return g, err
	}
	if err := g.startSplit(binary); err != nil {
		return g, err
	}
	if g.one.M3O, err = binary.Start(filepath.Join(g.dir, "one"), "none"); err != nil {
		return g, err
	}
	return g, errors.Join(g.one.prepare(), g.split.prepare())
}

// startSplit starts the process of the called service and that of all others.
func (g *gateways) startSplit(binary load.Binary) (err error) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	shared := []string{"M3O_BUS=" + strings.Replace(g.nats.Address, "http:", "nats:", 1), "M3O_SECRET=" + hex.EncodeToString(secret)}
	all, err := app.Wirings()
	if err != nil {
		return err
	}
	var others []string
	for _, w := range all {
		if w.Host != away {
			others = append(others, w.Host)
		}
	}
	var both errgroup.Group // each waits for the other
	both.Go(func() (err error) {
		g.home, err = binary.StartBeside(filepath.Join(g.dir, "home"), append(slices.Clone(shared), "M3O_SERVICES="+away)...)
		return err
	})
	both.Go(func() (err error) {
		g.split.M3O, err = binary.Start(filepath.Join(g.dir, "split"), "none", append(slices.Clone(shared), "M3O_SERVICES="+strings.Join(others, ","))...)
		return err
	})
	return both.Wait()
}

// prepare makes somebody who pays for calls.
func (d *door) prepare() error {
	if err := d.SignIn(); err != nil {
		return err
	}
	c, err := d.NewCustomer("bench@example.com", credit)
	if err != nil {
		return fmt.Errorf("make a customer: %w", err)
	}
	d.target = load.NewTarget(d.Address, load.HelloPath, c.Key.Key, load.Hello)
	return nil
}

func (g *gateways) stop() {
	for _, d := range []door{g.one, g.split} {
		if d.M3O != nil {
			_ = d.Stop()
		}
	}
	_, _ = g.home.Stop(), g.nats.Stop()
	_ = os.RemoveAll(g.dir)
}

// passed is what a round has measured of one gateway: its calls a second, and the processor time of each process a call.
type passed struct {
	rate  float64
	spent []time.Duration
}

func measureGateway(d door, clients int, span time.Duration, servers ...*load.Server) (p passed, err error) {
	before, err := processors(servers)
	if err != nil {
		return p, err
	}
	calls, took, err := d.target.Throughput(clients, span)
	if err != nil {
		return p, err
	}
	after, err := processors(servers)
	if err != nil {
		return p, err
	}
	for i := range servers {
		p.spent = append(p.spent, (after[i]-before[i])/time.Duration(max(calls, 1)))
	}
	p.rate = float64(calls) / took.Seconds()
	return p, nil
}

func processors(servers []*load.Server) (all []time.Duration, err error) {
	for _, s := range servers {
		used, err := s.Processor()
		if err != nil {
			return nil, err
		}
		all = append(all, used)
	}
	return all, nil
}

// reportGateways compares the two, round by round. What the limit says of the calls holds for the processor time of a
// call, too, which tells more where the core is not used up.
func reportGateways(rounds, clients int, span time.Duration) error {
	g, err := startGateways()
	if err != nil {
		return err
	}
	defer g.stop()
	var one, split []passed
	for n := range rounds + 1 { // the first round warms all up and is dropped
		a, err := measureGateway(g.one, clients, span, g.one.Server)
		if err != nil {
			return fmt.Errorf("the gateway of one process: %w", err)
		}
		b, err := measureGateway(g.split, clients, span, g.split.Server, g.home, g.nats)
		if err != nil {
			return fmt.Errorf("the gateway before NATS: %w", err)
		}
		if n > 0 {
			one, split = append(one, a), append(split, b)
		}
	}
	return printGateways(one, split)
}

func printGateways(one, split []passed) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "one core, medians of %d\tin one process\tgateway → NATS → %s\tratio\tlimit\t\t\n", len(one), away)
	var ratios, costs []float64
	for i := range one {
		ratios = append(ratios, split[i].rate/one[i].rate)
		costs = append(costs, split[i].all().Seconds()/one[i].all().Seconds())
	}
	rate := func(p passed) float64 { return p.rate }
	fmt.Fprintf(t, "calls a second\t%.0f\t%.0f\t%.2f\t0.35 × the calls\t%s\t\n", median(each(one, rate)), median(each(split, rate)), median(ratios), verdict(median(ratios) >= 0.35))
	fmt.Fprintf(t, "processor a call\t%s\t%s\t%.2f\t2.86 × the time\t%s\t\n", median(each(one, passed.all)), median(each(split, passed.all)), median(costs), verdict(median(costs) <= 1/0.35))
	for i, name := range []string{"of the gateway's process", "of " + away + "'s", "of NATS"} {
		part := func(p passed) time.Duration { return p.spent[i].Round(100 * time.Nanosecond) }
		fmt.Fprintf(t, "  %s\t\t%s\t\t\t\t\n", name, median(each(split, part)))
	}
	return t.Flush()
}

// all is what the processes have used together.
func (p passed) all() (sum time.Duration) {
	for _, one := range p.spent {
		sum += one
	}
	return sum.Round(100 * time.Nanosecond)
}
