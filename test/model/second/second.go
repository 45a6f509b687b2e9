package second

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"m3o/test/model/second/secondapi"
	"m3o/test/model/third/thirdapi"
)

// Deps is what the service needs.
type Deps struct {
	Third thirdapi.Client
	Now   func() time.Time
}

// Service is the service.
type Service struct {
	settings
	Deps
}

// New makes the service.
func New(d Deps) (*Service, error) {
	s, err := newSettings(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("second: %w", err)
	}
	return &Service{s, d}, nil
}

// Look says what arrives here, and then there.
func (s *Service) Look(ctx context.Context) (sights []secondapi.Sight, err error) {
	here := thirdapi.See(ctx, s.Now, s.Replica().Host)
	there, err := s.Third.Look(ctx)
	return append([]secondapi.Sight{here}, there...), err
}

// Fail fails as third does.
func (s *Service) Fail(ctx context.Context, how string) (err error) {
	if err := s.Third.Fail(ctx, how); err != nil {
		return fmt.Errorf("ask the third: %w", err)
	}
	return nil
}

// Relay says which headers the third gets.
func (s *Service) Relay(ctx context.Context) (headers map[string]string, err error) {
	answer, err := s.Third.Headers(ctx, "")
	if err != nil {
		return nil, err
	}
	var all http.Header
	if err := json.NewDecoder(answer.Body).Decode(&all); err != nil {
		return nil, err
	}
	headers = map[string]string{}
	for name := range all {
		headers[name] = all.Get(name)
	}
	return headers, nil
}
