package witness

import "fmt"

// Service is the service.
type Service struct{ settings }

// New makes the service.
func New() (*Service, error) {
	s, err := newSettings(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	return &Service{settings: s}, nil
}
