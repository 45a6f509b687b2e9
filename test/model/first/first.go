package first

import (
	"context"
	"fmt"
	"time"

	"m3o/internal/frame"
	"m3o/test/model/first/firstapi"
	"m3o/test/model/second/secondapi"
	"m3o/test/model/third/thirdapi"
)

// Deps is what the service needs.
type Deps struct {
	Second secondapi.Service
	Self   firstapi.Service         // itself over the bus
	All    firstapi.MulticastClient // all of its kind
	Now    func() time.Time
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
		return nil, fmt.Errorf("first: %w", err)
	}
	return &Service{s, d}, nil
}

// Look says what arrives here, and then there.
func (s *Service) Look(ctx context.Context) (sights []firstapi.Sight, err error) {
	here := thirdapi.See(ctx, s.Now, s.Replica().Host)
	there, err := s.Second.Look(ctx)
	return append([]firstapi.Sight{here}, there...), err
}

// Fail fails as third does.
func (s *Service) Fail(ctx context.Context, how string) (err error) {
	if err := s.Second.Fail(ctx, how); err != nil {
		return fmt.Errorf("ask the second: %w", err)
	}
	return nil
}

// Nest calls itself that many times more and says how deep it has come.
func (s *Service) Nest(ctx context.Context, more int) (depth int, err error) {
	if more == 0 {
		return frame.Of(ctx).Depth, nil
	}
	return s.Self.Nest(ctx, more-1)
}

// NestAll is Nest by multicast calls.
func (s *Service) NestAll(ctx context.Context, more int) (depth int, err error) {
	if more == 0 {
		return frame.Of(ctx).Depth, nil
	}
	deepest, err := s.All.NestAll(ctx, more-1).Wait()
	for _, one := range deepest {
		depth = max(depth, one.Depth)
	}
	return depth, err
}
