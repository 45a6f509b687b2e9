package welcomer

import (
	"context"
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/config"
)

// Deps is what the service needs.
type Deps struct {
	Config  config.Source
	Metrics prometheus.Registerer
}

// Service welcomes who has registered.
type Service struct {
	settings
	mu     sync.Mutex // two events may come at once
	count  int
	latest string
}

// New makes the service.
func New(d Deps) (*Service, error) {
	s, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("welcomer: %w", err)
	}
	return &Service{settings: s}, nil
}

// Guests tells how many this replica has welcomed, and how the latest was greeted.
func (s *Service) Guests(ctx context.Context) (count int, latest string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count, s.latest, nil
}
