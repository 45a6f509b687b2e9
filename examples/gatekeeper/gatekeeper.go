package gatekeeper

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/config"
)

// Deps is what the service needs.
type Deps struct {
	Config  config.Source
	Metrics prometheus.Registerer
	Log     *slog.Logger
}

// Service keeps banned domains out.
type Service struct {
	settings
	log *slog.Logger
}

// New makes the service.
func New(d Deps) (*Service, error) {
	s, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: %w", err)
	}
	return &Service{settings: s, log: d.Log}, nil
}

// OnChangedBannedDomains is called when the value of BannedDomains has changed. The new
// one is in force already: there is nothing to do but to say so.
func (s *Service) OnChangedBannedDomains(ctx context.Context) (err error) {
	s.log.InfoContext(ctx, "other domains are banned now", "domains", s.BannedDomains())
	return nil
}

// isBanned says whether a domain is among those that are banned at this moment.
func (s *Service) isBanned(domain string) bool {
	return slices.Contains(strings.Split(s.BannedDomains(), ","), strings.ToLower(domain))
}
