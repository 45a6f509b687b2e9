package configurator

import (
	"context"
	"fmt"
	"sync"

	"m3o/internal/config"
	"m3o/internal/configurator/configuratorapi"
)

// Source is what the configurator has set, as services read their configuration. It
// knows what it has last fetched, nothing at first, so that services start and run while
// the configurator cannot be reached. It is safe for concurrent use.
type Source struct {
	api   configuratorapi.Service
	mu    sync.RWMutex
	known map[string]map[string]string // canonical host → canonical property → text
}

var _ config.Fetcher = (*Source)(nil)

// NewSource makes a source that knows nothing yet.
func NewSource(api configuratorapi.Service) *Source {
	return &Source{api: api, known: map[string]map[string]string{}}
}

// Lookup is what was fetched.
func (s *Source) Lookup(host, property string) (string, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	value, ok := s.known[config.Canonical(host)][config.Canonical(property)]
	return value, ok
}

// Fetch asks the configurator what is set for a service.
func (s *Source) Fetch(ctx context.Context, host string) error {
	values, err := s.api.Values(ctx, host)
	if err != nil {
		return fmt.Errorf("ask the configurator: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[config.Canonical(host)] = values
	return nil
}
