package main

import (
	"context"
	"time"

	"m3o/test/bench/load"
)

// kind is a sort of call. Each has a customer of its own, so that the books are kept by
// kind.
type kind struct {
	name    string
	share   float64 // of the rate
	clients int     // connections
	status  int     // that it is to be answered with
	path    string
	body    string
	via     func(target, *load.M3O) caller
}

// The kinds whose customers are not like the others.
const (
	noMoney = "no money"
	badKey  = "bad key"
	keys    = "key changes"
)

// kinds are what is called at a fixed rate. Their shares add up to 1.
func kinds() []kind {
	const five = `{"name":"John","messages":5}`
	return []kind{
		{"function", 0.50, 16, 200, load.HelloPath, load.Hello, newPlain},
		{"upstream", 0.25, 8, 200, load.UpstreamPath, load.Hello, newPlain},
		{"stream", 0.10, 4, 200, load.StreamPath, five, newPlain},
		{"WebSocket", 0.09, 4, 200, load.HelloPath, load.Hello, newSocket},
		{noMoney, 0.02, 2, 402, load.HelloPath, load.Hello, newPlain},
		{"no such API", 0.02, 2, 404, "/v1/nothing/call", load.Hello, newPlain},
		{badKey, 0.02, 2, 401, load.HelloPath, load.Hello, newPlain},
	}
}

// target is what a kind calls with which key.
type target struct{ path, key, body string }

// unknownKey has the form of a key and is nobody's.
const unknownKey = "m3o_000000000000000000000000000000000000"

// call calls at the kind's part of the rate until the length is over, or the context.
func (k kind) call(ctx context.Context, p plan, m *load.M3O, c load.Customer, into *tally) error {
	to := target{k.path, c.Key.Key, k.body}
	if k.name == badKey {
		to.key = unknownKey
	}
	callers := make([]caller, k.clients)
	for i := range callers {
		callers[i] = k.via(to, m)
		defer callers[i].close()
	}
	return load.Paced(k.share*float64(p.rate), k.clients, p.length, func(i int, due time.Time) error {
		o := callers[i].call()
		into.add(k.name, o.as(k.status), time.Since(due))
		return ctx.Err()
	})
}

// keyChanges is how often a second a key comes and goes.
const keyChanges = 1

// changeKeys makes keys, each of which is good for a call until it is revoked, and for
// none after that.
func changeKeys(ctx context.Context, p plan, m *load.M3O, c load.Customer, into *tally) error {
	return load.Paced(keyChanges, 1, p.length, func(int, time.Time) error {
		if err := changeKey(m, c, into); err != nil {
			into.complain(keys, err)
		}
		return ctx.Err()
	})
}

func changeKey(m *load.M3O, c load.Customer, into *tally) error {
	key, err := c.NewKey()
	if err != nil {
		return err
	}
	caller := newPlain(target{load.HelloPath, key.Key, load.Hello}, m)
	defer caller.close()
	timed := func(status int) {
		begun := time.Now()
		o := caller.call()
		into.add(keys, o.as(status), time.Since(begun))
	}
	timed(200)
	if err := c.Revoke(key); err != nil {
		return err
	}
	timed(401)
	return nil
}
