package strict

import (
	"fmt"

	"m3o/internal/config"
)

// Service is the service.
type Service struct{ settings }

// New makes the service.
func New(source config.Source) (*Service, error) {
	s, err := newSettings(source, nil)
	if err != nil {
		return nil, fmt.Errorf("strict: %w", err)
	}
	return &Service{settings: s}, nil
}
