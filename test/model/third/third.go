package third

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"m3o/internal/fault"
	"m3o/test/model/third/thirdapi"
)

// Service is the service.
type Service struct {
	settings
	now func() time.Time
}

// New makes the service.
func New(now func() time.Time) (*Service, error) {
	s, err := newSettings(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("third: %w", err)
	}
	return &Service{settings: s, now: now}, nil
}

// Look says what arrives of the caller.
func (s *Service) Look(ctx context.Context) (sights []thirdapi.Sight, err error) {
	return []thirdapi.Sight{thirdapi.See(ctx, s.now, s.Replica().Host)}, nil
}

// Fail fails in the way that is named.
func (s *Service) Fail(ctx context.Context, how string) (err error) {
	if how == "plain" {
		return fault.Trace(errors.New("third has slipped"))
	}
	return fault.New(fault.Code(how), "third is tired")
}

// Headers answers with the request's headers as JSON.
func (s *Service) Headers(w http.ResponseWriter, r *http.Request) (err error) {
	return json.NewEncoder(w).Encode(r.Header)
}
