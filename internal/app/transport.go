package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"m3o/internal/bus"
	natsbus "m3o/internal/bus/nats"
)

// memoryBus is the transport within one process.
const memoryBus = "memory"

// NATS is how a process proves to the servers of a nats:// bus who it is, and they to it,
// and how it uses them.
type NATS struct {
	User, Password         string
	Token                  string
	NKeyFile               string // the seed
	CredsFile              string // a JWT with its seed
	TLSCA, TLSCert, TLSKey string // PEM files

	Prefix   string // of all subjects and streams, where several systems share the servers; empty: m3o
	Replicas int    // how many servers keep each topic; 0: 1
}

// Transport is a bus between processes.
type Transport interface {
	bus.Bus

	// Declare makes a group of a topic, if it is not there, so that what is published waits
	// for its members, which may be started later.
	Declare(ctx context.Context, topic, group string) error

	// Ready says why the other processes cannot be reached, nil when they can.
	Ready() error

	// Close leaves the bus, once nobody in this process uses it any more.
	Close() error
}

// openBus opens what the services call each other by.
func (a *App) openBus(ctx context.Context) error {
	if !a.split {
		a.bus = bus.NewMemory(bus.MemoryConfig{DeadLetter: a.deadLetter, Logger: a.config.Log})
		return nil
	}
	g := a.standOn("bus", "NATS")
	transport, err := a.openTransport(ctx, g)
	if err != nil {
		return err
	}
	a.bus = transport
	a.started.push("bus", func(context.Context) error { return transport.Close() })
	g.reached(func(context.Context) error { return transport.Ready() })
	return nil
}

// openTransport joins the bus that reaches other processes.
func (a *App) openTransport(ctx context.Context, g *ground) (Transport, error) {
	c := a.config
	switch {
	case c.Transport != nil:
		return c.Transport, nil
	case !strings.HasPrefix(c.Bus, "nats://") && !strings.HasPrefix(c.Bus, "tls://"):
		return nil, fmt.Errorf("--bus %s: choose %s, or a nats:// or tls:// URL", c.Bus, memoryBus)
	}
	ctx, cancel := context.WithTimeout(ctx, a.patience())
	defer cancel()
	joined, err := natsbus.Open(ctx, natsbus.Config{
		URL: c.Bus, Name: c.Name, Version: c.Version, DeadLetter: a.deadLetter, Logger: a.plainLog, Away: g.away,
		User: c.NATS.User, Password: c.NATS.Password, Token: c.NATS.Token, NKeyFile: c.NATS.NKeyFile, CredsFile: c.NATS.CredsFile,
		TLSCA: c.NATS.TLSCA, TLSCert: c.NATS.TLSCert, TLSKey: c.NATS.TLSKey,
		Prefix: c.NATS.Prefix, Replicas: c.NATS.Replicas,
	})
	if err != nil && ctx.Err() != nil {
		return nil, g.gone(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("--bus: %w", err)
	}
	return joined, nil
}

// transport is the bus, where it reaches other processes.
func (a *App) transport() Transport { return a.bus.(Transport) }

// deadLetter keeps an event that a service of this process cannot take.
func (a *App) deadLetter(ctx context.Context, l bus.Letter) error {
	if a.db == nil {
		return errors.New("this process keeps nothing in a database")
	}
	return a.outbox.DeadLetter(ctx, l)
}
