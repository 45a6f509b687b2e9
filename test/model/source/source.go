package source

import (
	"context"
	"fmt"

	"m3o/test/model/source/sourceapi"
)

// Service is the service.
type Service struct {
	settings
	trigger sourceapi.MulticastTrigger
}

// New makes the service.
func New(trigger sourceapi.MulticastTrigger) (*Service, error) {
	s, err := newSettings(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	return &Service{s, trigger}, nil
}

// Finish fires OnDone and answers with what the sinks did.
func (s *Service) Finish(ctx context.Context, id string, n int) (answers []string, err error) {
	results, err := s.trigger.OnDone(ctx, id, n).Wait()
	for _, one := range results {
		answers = append(answers, one.By)
	}
	return answers, err
}
