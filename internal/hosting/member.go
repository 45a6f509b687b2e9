package hosting

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"m3o/internal/config"
)

// What a service may do beside Service.
type (
	hosted  interface{ Host() string }
	starter interface {
		OnStartup(ctx context.Context) error
	}
	patient interface {
		// Patience is how long OnStartup may take, in place of the app's limit.
		Patience() time.Duration
	}
	shutter interface {
		OnShutdown(ctx context.Context) error
	}
	configured interface {
		Configured() (*config.Set, config.Callbacks)
	}
	mocked interface{ Mocked() } // a marker: it stands in for a service in tests
)

// member is a service of an app and how far it has come.
type member struct {
	service Service
	name    string
	reached bool   // its OnStartup, if any, has been called
	leave   func() // takes it off the bus; nil: it is not on it
}

// nameOf is how a service is called in errors and logs.
func nameOf(s Service) string {
	if h, ok := s.(hosted); ok {
		return h.Host()
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", s), "*")
}

// startOne makes a service ready and then reachable.
func (a *App) startOne(ctx context.Context, m *member) error {
	a.configure(ctx, m)
	m.reached = true
	if s, ok := m.service.(starter); ok {
		if err := a.within(ctx, a.patience(m), "start "+m.name, s.OnStartup); err != nil {
			return err
		}
	}
	if err := a.register(ctx, m); err != nil {
		return fmt.Errorf("put %s on the bus: %w", m.name, err)
	}
	return nil
}

// patience is how long the service may take to start.
func (a *App) patience(m *member) time.Duration {
	if s, ok := m.service.(patient); ok {
		return s.Patience()
	}
	return a.config.Limit
}

// register makes a service reachable. A place on the bus that is not valid is a panic.
func (a *App) register(ctx context.Context, m *member) error {
	return guarded(ctx, a.log, "register "+m.name, func(context.Context) error {
		m.leave = m.service.Register(a.config.Bus)
		return nil
	})
}

// configure takes the configuration that is set now into force. What is wrong with it
// is logged: a value must never keep the system down in which it would be mended.
func (a *App) configure(ctx context.Context, m *member) {
	s, ok := m.service.(configured)
	if !ok {
		return
	}
	set, _ := s.Configured()
	for _, warning := range set.Warnings() {
		a.log.WarnContext(ctx, "a configuration value is not allowed, the default is in force", "service", m.name, "error", warning)
	}
	if a.config.Deployment == TESTING {
		return
	}
	if err := a.within(ctx, a.config.Limit, "configure "+m.name, func(ctx context.Context) error { return a.refresh(ctx, m) }); err != nil {
		a.log.ErrorContext(ctx, "a service does not take its configuration", "service", m.name, "error", err)
	}
}

// refresh reads a service's configuration anew and tells it what has changed.
func (a *App) refresh(ctx context.Context, m *member) error {
	s, ok := m.service.(configured)
	if !ok || a.config.Source == nil {
		return nil
	}
	set, callbacks := s.Configured()
	safe := config.Callbacks{}
	for name, call := range callbacks {
		safe[name] = func(ctx context.Context) error { return guarded(ctx, a.log, "OnChanged"+name+" of "+m.name, call) }
	}
	return set.Refresh(ctx, a.config.Source, a.log, safe)
}

// coveredBy says whether values under a name are values for the service.
func (m *member) coveredBy(name string) bool {
	s, ok := m.service.(configured)
	if !ok {
		return false
	}
	set, _ := s.Configured()
	return slices.Contains(config.Covering(set.Host()), config.Canonical(name))
}

// stopOne takes a service off the bus and shuts it down if it has come to start.
func (a *App) stopOne(ctx context.Context, m *member) error {
	var errs []error
	if m.leave != nil {
		errs = append(errs, a.within(ctx, a.config.Limit, "take "+m.name+" off the bus", func(context.Context) error { m.leave(); return nil }))
	}
	if s, ok := m.service.(shutter); ok && m.reached {
		errs = append(errs, a.within(ctx, a.config.Limit, "stop "+m.name, s.OnShutdown))
	}
	return errors.Join(errs...)
}
