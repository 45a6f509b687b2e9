package main

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"m3o/test/bench/load"
)

// The queries that are asked as they are.
const (
	pageQuery    = `query Page { products(first: 20) { id name description price stock } }`
	productQuery = `query One($id: ID!) { product(id: $id) { id name description price stock } }`
	orderQuery   = `mutation Place($id: ID!) { placeOrder(input: {order_products: [{product_id: $id, quantity: 1}]}) { id user_id quantity price_total order_products { product_id price quantity } } }`
)

// results are the medians of the rounds.
type results struct {
	bare, page []round // of what answers a page
	ratios     []float64
	product    []time.Duration // the rounds' p99 of product(id) at half load
	sqlite     *orders
	postgres   *orders // nil: not measured
}

// round is what one round has measured of one server.
type round struct {
	rate      float64 // calls a second
	processor time.Duration
}

// orders is what placing orders comes to.
type orders struct {
	rate float64 // a second
	p99  time.Duration
}

func measurePages(p plan, binary load.Binary, dir string) (*results, error) {
	bare, err := load.Goods.Start(load.ServerCore, "")
	if err != nil {
		return nil, err
	}
	defer func() { _ = bare.Stop() }()
	h, err := open(binary, dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = h.Stop() }()
	r := &results{}
	page := body(pageQuery, nil)
	one := body(productQuery, map[string]any{"id": h.ids[products/2]})
	for n := range p.rounds + 1 { // the first round warms all up and is dropped
		base, err := throughput(p, bare, page)
		if err != nil {
			return nil, fmt.Errorf("the bare handler: %w", err)
		}
		ours, err := throughput(p, h.Server, page)
		if err != nil {
			return nil, fmt.Errorf("m3o: %w", err)
		}
		single, err := throughput(p, h.Server, one)
		if err != nil {
			return nil, fmt.Errorf("a product: %w", err)
		}
		delays, err := load.NewTarget(h.Address, load.ShopPath, "", string(one)).Latencies(single.rate/2, p.clients, p.length)
		if err != nil {
			return nil, fmt.Errorf("a product at half load: %w", err)
		}
		if n > 0 {
			r.bare, r.page = append(r.bare, base), append(r.page, ours)
			r.ratios = append(r.ratios, ours.rate/base.rate)
			r.product = append(r.product, load.Quantile(delays, 99))
		}
	}
	return r, nil
}

// throughput is what a server does as fast as it can.
func throughput(p plan, s *load.Server, body []byte) (r round, err error) {
	before, err := s.Used()
	if err != nil {
		return r, err
	}
	calls, took, err := load.NewTarget(s.Address, load.ShopPath, "", string(body)).Throughput(p.clients, p.length)
	if err != nil {
		return r, err
	}
	after, err := s.Used()
	return round{float64(calls) / took.Seconds(), (after.Processor - before.Processor) / time.Duration(max(calls, 1))}, err
}

func measureOrders(p plan, binary load.Binary, dir string, env ...string) (*orders, error) {
	h, err := open(binary, dir, env...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = h.Stop() }()
	var rates []float64
	var p99s []time.Duration
	for n := range p.rounds + 1 {
		rate, p99, err := h.order(p)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			rates, p99s = append(rates, rate), append(p99s, p99)
		}
	}
	return &orders{middle(rates), middle(p99s)}, nil
}

// order places orders as fast as they are answered, and sees that each of them is there.
func (h *house) order(p plan) (rate float64, p99 time.Duration, err error) {
	before, err := h.placed()
	if err != nil {
		return 0, 0, err
	}
	var wait sync.WaitGroup
	delays, errs := make([][]time.Duration, p.clients), make([]error, p.clients)
	begun := time.Now()
	for i := range p.clients {
		wait.Go(func() { delays[i], errs[i] = h.orderUntil(i, begun.Add(p.length)) })
	}
	wait.Wait()
	took := time.Since(begun)
	for _, err := range errs {
		if err != nil {
			return 0, 0, err
		}
	}
	all := slices.Concat(delays...)
	slices.Sort(all)
	after, err := h.placed()
	if err == nil && after-before != len(all) {
		err = fmt.Errorf("%d orders were answered, and %d were placed", len(all), after-before)
	}
	return float64(len(all)) / took.Seconds(), load.Quantile(all, 99), err
}

// orderUntil orders a product over one connection until then.
func (h *house) orderUntil(client int, end time.Time) (delays []time.Duration, err error) {
	order := body(orderQuery, map[string]any{"id": h.ids[client%products]})
	c, err := load.NewTarget(h.Address, load.ShopPath, h.buyer, string(order)).Dial()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for begun := time.Now(); begun.Before(end); begun = time.Now() {
		if err := c.Call(); err != nil {
			return delays, err
		}
		delays = append(delays, time.Since(begun))
	}
	return delays, nil
}

func middle[T float64 | time.Duration](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}
