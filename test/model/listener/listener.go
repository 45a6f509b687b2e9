package listener

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// Service is the service.
type Service struct {
	settings
	mu    sync.Mutex
	heard []string
}

// New makes the service.
func New() (*Service, error) {
	s, err := newSettings(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("listener: %w", err)
	}
	return &Service{settings: s}, nil
}

// Heard lists what OnPlain was told.
func (s *Service) Heard(ctx context.Context) (texts []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.heard), nil
}
