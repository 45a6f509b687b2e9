package helloworld

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/config"
	"m3o/internal/fault"
	"m3o/internal/helloworld/helloworldapi"
)

// maxMessages bounds a stream.
const maxMessages = 1000

// Deps is what the service needs.
type Deps struct {
	Config  config.Source
	Metrics prometheus.Registerer
}

// Service greets.
type Service struct{ settings }

// New makes the service.
func New(d Deps) (*Service, error) {
	s, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("helloworld: %w", err)
	}
	return &Service{settings: s}, nil
}

// Call greets somebody by name, the world when there is none.
func (s *Service) Call(ctx context.Context, name string) (message string, err error) {
	return greeting(name), nil
}

// Stream sends the greeting as often as messages says, once for 0. It ends early
// when the caller goes.
func (s *Service) Stream(ctx context.Context, name string, messages int, send func(helloworldapi.StreamOut) error) (err error) {
	if messages < 0 || messages > maxMessages {
		return fault.BadField("messages", "%d is not between 1 and %d", messages, maxMessages)
	}
	for range max(messages, 1) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := send(helloworldapi.StreamOut{Message: greeting(name)}); err != nil {
			return err
		}
	}
	return nil
}

func greeting(name string) string {
	if name == "" {
		name = "World"
	}
	return "Hello " + name
}
