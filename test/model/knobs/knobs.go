package knobs

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/config"
	"m3o/test/model/knobs/knobsapi"
)

// Deps is what the service needs.
type Deps struct {
	Config  config.Source
	Metrics prometheus.Registerer
	Busy    time.Duration // how long an iteration of the ticker takes

	// Startup and Shutdown are called when the service starts and stops. Nil: nothing.
	Startup, Shutdown func(ctx context.Context) error
}

// Service is the service.
type Service struct {
	settings
	Deps
	made time.Time

	mu      sync.Mutex
	told    []string
	beats   knobsapi.Beats
	running int
}

// New makes the service.
func New(d Deps) (*Service, error) {
	s, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("knobs: %w", err)
	}
	return &Service{settings: s, Deps: d, made: time.Now()}, nil
}

// OnStartup does what Deps say.
func (s *Service) OnStartup(ctx context.Context) error { return call(ctx, s.Startup) }

// OnShutdown does what Deps say.
func (s *Service) OnShutdown(ctx context.Context) error { return call(ctx, s.Shutdown) }

func call(ctx context.Context, f func(context.Context) error) error {
	if f == nil {
		return nil
	}
	return f(ctx)
}

// OnChangedLimit notes what it reads.
func (s *Service) OnChangedLimit(ctx context.Context) (err error) {
	s.note(fmt.Sprintf("limit %d small %d", s.Limit(), s.Small()))
	return nil
}

// OnChangedSmall notes what it reads.
func (s *Service) OnChangedSmall(ctx context.Context) (err error) {
	s.note(fmt.Sprintf("small %d limit %d", s.Small(), s.Limit()))
	return nil
}

func (s *Service) note(change string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, change)
}

// Read reads what is in force, and how often a change was told.
func (s *Service) Read(ctx context.Context) (values knobsapi.Values, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return knobsapi.Values{
		Limit: s.Limit(), Small: s.Small(), Ratio: s.Ratio(), Patience: s.Patience(), Loud: s.Loud(), Motto: s.Motto(), Token: s.Token(),
		Told: slices.Clone(s.told),
	}, nil
}

// Turn sets the limit.
func (s *Service) Turn(ctx context.Context, limit int) (err error) { return s.SetLimit(ctx, limit) }

// Beats says when the ticker has begun and ended.
func (s *Service) Beats(ctx context.Context) (beats knobsapi.Beats, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	beats = s.beats
	beats.Began = slices.Clone(beats.Began)
	return beats, nil
}

// Tick is busy for a while.
func (s *Service) Tick(ctx context.Context) (err error) {
	s.begin()
	defer s.end()
	timer := time.NewTimer(s.Busy)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		s.stopped()
		return ctx.Err()
	}
}

func (s *Service) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beats.Began = append(s.beats.Began, time.Since(s.made))
	s.running++
	s.beats.Most = max(s.beats.Most, s.running)
}

func (s *Service) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	s.beats.Ended++
}

func (s *Service) stopped() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beats.Stopped = true
}
