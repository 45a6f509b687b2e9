package messenger

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/examples/messenger/messengerapi"
	"m3o/internal/bus"
	"m3o/internal/config"
)

// Deps is what the service needs.
type Deps struct {
	Bus     bus.Bus
	Config  config.Source
	Metrics prometheus.Registerer
}

// Service greets.
type Service struct {
	settings
	one messengerapi.Client
	all messengerapi.MulticastClient
}

// New makes a replica of the service. It reaches itself and its like over the bus, as
// any other service would.
func New(d Deps) (*Service, error) {
	s, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("messenger: %w", err)
	}
	return &Service{settings: s, one: messengerapi.NewClient(d.Bus), all: messengerapi.NewMulticastClient(d.Bus)}, nil
}

// Greet greets somebody, the world when there is no name.
func (s *Service) Greet(ctx context.Context, name string) (greeting string, replica string, err error) {
	if name == "" {
		name = "World"
	}
	return "Hello " + name, s.Replica().ID, nil
}

// RollCall says which replica this is.
func (s *Service) RollCall(ctx context.Context) (replica string, err error) {
	return s.Replica().ID, nil
}
