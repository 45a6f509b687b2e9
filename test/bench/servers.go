package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"m3o/test/bench/load"
)

// servers are the processes that are compared, and the upstream.
type servers struct {
	dir      string
	upstream *load.Server
	bare     *load.Server
	proxy    *load.Server
	binary   load.Binary
	gateways []gateway // one for each way of -sync
	idle     map[*load.Server]int64
}

// gateway is a running m3o.
type gateway struct {
	*load.M3O
	key string // of a customer with enough credit
}

func start(p plan) (*servers, error) {
	dir, err := os.MkdirTemp("", "m3o-bench-")
	if err != nil {
		return nil, err
	}
	s := &servers{dir: dir, idle: map[*load.Server]int64{}}
	if err := s.open(p); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *servers) open(p plan) (err error) {
	if s.upstream, err = load.Upstream.Start(load.LoadCore, ""); err != nil {
		return err
	}
	if s.bare, err = load.Bare.Start(load.ServerCore, ""); err != nil {
		return err
	}
	if s.proxy, err = load.Proxy.Start(load.ServerCore, s.upstream.Address); err != nil {
		return err
	}
	if s.binary, err = load.Build(s.dir); err != nil {
		return err
	}
	for _, sync := range p.syncs {
		m, err := s.binary.Start(filepath.Join(s.dir, sync), sync)
		if err != nil {
			return err
		}
		s.gateways = append(s.gateways, gateway{M3O: m})
	}
	if err := s.rest(); err != nil {
		return err
	}
	for i := range s.gateways {
		if err := s.gateways[i].prepare(s.upstream); err != nil {
			return err
		}
	}
	return nil
}

// rest measures the memory of servers that nobody has called yet.
func (s *servers) rest() (err error) {
	time.Sleep(500 * time.Millisecond)
	for _, server := range s.measured() {
		if s.idle[server], err = server.ResidentBytes(); err != nil {
			return err
		}
	}
	return nil
}

// measured are the servers on the servers' core.
func (s *servers) measured() []*load.Server {
	all := []*load.Server{s.bare, s.proxy}
	for _, g := range s.gateways {
		all = append(all, g.Server)
	}
	return all
}

// credit is more than any run can spend, in micro-dollars.
const credit = 1_000_000_000_000

// prepare puts the upstream on sale and makes somebody who pays for calls.
func (g *gateway) prepare(upstream *load.Server) error {
	if err := g.SignIn(); err != nil {
		return err
	}
	if err := g.Publish(upstream); err != nil {
		return err
	}
	c, err := g.NewCustomer("bench@example.com", credit)
	if err != nil {
		return fmt.Errorf("make a customer: %w", err)
	}
	g.key = c.Key.Key
	return nil
}

// pairs are what is compared, two for each gateway.
func (s *servers) pairs() (all []*pair) {
	bare := side{s.bare, load.NewTarget(s.bare.Address, load.HelloPath, "", load.Hello)}
	proxy := side{s.proxy, load.NewTarget(s.proxy.Address, load.UpstreamPath, "", load.Hello)}
	for _, g := range s.gateways {
		own := side{g.Server, load.NewTarget(g.Address, load.HelloPath, g.key, load.Hello)}
		passed := side{g.Server, load.NewTarget(g.Address, load.UpstreamPath, g.key, load.Hello)}
		all = append(all, &pair{sides: [2]side{bare, own}}, &pair{sides: [2]side{proxy, passed}})
	}
	return all
}

func (s *servers) stop() {
	for _, server := range append(s.measured(), s.upstream) {
		_ = server.Stop()
	}
	_ = os.RemoveAll(s.dir)
}
