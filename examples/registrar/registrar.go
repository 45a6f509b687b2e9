package registrar

import (
	"context"
	"fmt"
	"log/slog"
	"net/mail"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/examples/registrar/registrarapi"
	"m3o/internal/bus"
	"m3o/internal/config"
	"m3o/internal/fault"
)

// Deps is what the service needs.
type Deps struct {
	Bus     bus.Bus
	Config  config.Source
	Metrics prometheus.Registerer
	Log     *slog.Logger
}

// Service registers people.
type Service struct {
	settings
	trigger registrarapi.MulticastTrigger
	log     *slog.Logger
}

// New makes the service.
func New(d Deps) (*Service, error) {
	s, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("registrar: %w", err)
	}
	return &Service{settings: s, trigger: registrarapi.NewMulticastTrigger(d.Bus), log: d.Log}, nil
}

// SignUp registers an address, unless a listener of OnAllowRegistration is against it.
// A listener that fails does not know, so it is an error and nobody is registered; one
// that only wants to hear of it afterwards cannot undo it.
func (s *Service) SignUp(ctx context.Context, email string) (registered bool, err error) {
	if address, err := mail.ParseAddress(email); err != nil || address.Address != email {
		return false, fault.BadField("email", "must be an address such as ann@example.com")
	}
	votes, err := s.trigger.OnAllowRegistration(ctx, email).Wait()
	if err != nil {
		return false, fmt.Errorf("ask whether an address may be registered: %w", err)
	}
	for _, vote := range votes {
		if !vote.Allow {
			return false, nil
		}
	}
	if err := s.trigger.OnRegistered(ctx, email).Err(); err != nil {
		s.log.WarnContext(ctx, "a listener could not be told of a registration", "error", err)
	}
	return true, nil
}
