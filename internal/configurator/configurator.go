package configurator

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/config"
	"m3o/internal/configurator/configuratorapi"
	"m3o/internal/db"
	"m3o/internal/db/audit"
	"m3o/internal/db/idempotency"
	"m3o/internal/fault"
	"m3o/internal/page"
)

// The bounds of a setting.
const (
	nameMax  = 127      // bytes of host and property together: a cursor holds both and a slash
	valueMax = 64 << 10 // bytes
)

// Deps is what the service needs.
type Deps struct {
	DB      *db.DB
	Bus     bus.Bus // fires OnConfigChanged
	Metrics prometheus.Registerer
	Now     func() time.Time // UTC

	// Check says why a value cannot be set, as a fault.Invalid that names the argument
	// (host, property or value). Check of this package makes one.
	Check func(host, property, value string) error

	// Reload reads the config file of this process anew.
	Reload func() error
}

// Service is the values that are set. It is safe for concurrent use.
type Service struct {
	settings
	db      *db.DB
	now     func() time.Time
	check   func(host, property, value string) error
	reload  func() error
	trigger configuratorapi.MulticastTrigger
}

// New makes the service.
func New(d Deps) (*Service, error) {
	s, err := newSettings(nil, d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("configurator: %w", err)
	}
	return &Service{
		settings: s, db: d.DB, now: d.Now, check: d.Check, reload: d.Reload, trigger: configuratorapi.NewMulticastTrigger(d.Bus),
	}, nil
}

// Values is what is set for the service host, under its own name, its domains or "all",
// of which the most specific one wins. Properties are in the form of config.Canonical.
func (s *Service) Values(ctx context.Context, host string) (values map[string]string, err error) {
	return valuesFor(ctx, s.db, host)
}

// Set sets a property for the service host, for all services in the domain host, or for
// every service where host is "all". Case, dashes and underscores of names do not
// matter. What no service declares, its rule does not allow, or is a secret, is
// fault.Invalid. It may be repeated. Admins only.
func (s *Service) Set(ctx context.Context, host, property, value string) (err error) {
	if err := auth.Admin(ctx); err != nil {
		return err
	}
	if err := s.allowed(host, property, value); err != nil {
		return err
	}
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out configuratorapi.SetOut, err error) {
		now := s.now()
		changed, err := set(ctx, tx, host, property, value, now)
		if err != nil || !changed {
			return out, err
		}
		return out, audit.Add(ctx, tx, now, "configurator.Set", host, map[string]string{"property": property, "value": value})
	})
	if err != nil {
		return err
	}
	return s.tell(ctx, host)
}

func (s *Service) allowed(host, property, value string) error {
	if err := named(host, property); err != nil {
		return err
	}
	if len(value) > valueMax || !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
		return fault.BadField("value", "must be text of at most %d bytes", valueMax)
	}
	return s.check(host, property, value)
}

func named(host, property string) error {
	switch {
	case config.Canonical(host) == "":
		return fault.BadField("host", "is required: a service, a domain of services, or all")
	case config.Canonical(property) == "":
		return fault.BadField("property", "is required")
	case len(host)+len(property) > nameMax || !utf8.ValidString(host+property) || strings.ContainsRune(host+property, 0):
		return fault.BadField("property", "must be text of at most %d bytes, together with the host", nameMax)
	}
	return nil
}

// Unset has the property come from elsewhere again: from what is set for more services,
// the environment, the config file, the default. That nothing is set is no error. It may
// be repeated. Admins only.
func (s *Service) Unset(ctx context.Context, host, property string) (err error) {
	if err := auth.Admin(ctx); err != nil {
		return err
	}
	if err := named(host, property); err != nil {
		return err
	}
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out configuratorapi.UnsetOut, err error) {
		changed, err := unset(ctx, tx, host, property)
		if err != nil || !changed {
			return out, err
		}
		return out, audit.Add(ctx, tx, s.now(), "configurator.Unset", host, map[string]string{"property": property})
	})
	if err != nil {
		return err
	}
	return s.tell(ctx, host)
}

// List lists what is set, by host and property. Admins only.
func (s *Service) List(ctx context.Context, limit int, cursor string) (settings []configuratorapi.Setting, nextCursor string, err error) {
	if err := auth.Admin(ctx); err != nil {
		return nil, "", err
	}
	limit, err = page.Limit(limit)
	if err != nil {
		return nil, "", err
	}
	from, err := page.Parse(cursor)
	if err != nil {
		return nil, "", err
	}
	settings, err = list(ctx, s.db, from.ID, limit+1)
	if err != nil {
		return nil, "", err
	}
	if len(settings) > limit {
		settings = settings[:limit]
		last := settings[limit-1]
		nextCursor = page.Cursor{ID: key(last.Host, last.Property)}.String()
	}
	return settings, nextCursor, nil
}

// Refresh reads the config file anew and tells everybody. A file that cannot be read or
// understood is fault.Unprocessable, says why, and changes nothing. Admins only.
func (s *Service) Refresh(ctx context.Context) (err error) {
	if err := auth.Admin(ctx); err != nil {
		return err
	}
	if err := s.reload(); err != nil {
		return fault.New(fault.Unprocessable, "%s: everything is as before", err)
	}
	return s.tell(ctx, "")
}

// Remind tells everybody to read their configuration anew: whoever missed a change. Files
// are read by Refresh only.
func (s *Service) Remind(ctx context.Context) (err error) { return s.tell(ctx, everybody) }

// everybody is the name under which every service is told of a change.
const everybody = "all"

// tell has everybody read what is set under the name host, also when a repeated call
// found it changed already: the first may have told nobody.
func (s *Service) tell(ctx context.Context, host string) error {
	if err := s.trigger.OnConfigChanged(ctx, host).Err(); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the change was made, but not everybody could be told: try again")
	}
	return nil
}
