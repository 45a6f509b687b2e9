package root

import (
	"fmt"
	"io"
	"net/http"
)

// Service is the service.
type Service struct{ settings }

// New makes the service.
func New() (*Service, error) {
	s, err := newSettings(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	return &Service{settings: s}, nil
}

// Home is a web handler.
func (s *Service) Home(w http.ResponseWriter, r *http.Request) (err error) {
	_, err = io.WriteString(w, "at home")
	return err
}
