package keys

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/customers/customersapi"
	"m3o/internal/db"
	"m3o/internal/db/changelog"
	"m3o/internal/db/idempotency"
	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/keys/keysapi"
	"m3o/internal/publicapi/publicapiapi"
)

// The bounds of what a caller may ask for.
const (
	maxKeys        = 100 // live keys of a customer
	maxScopes      = 100 // of a key
	maxDescription = 200 // characters
	maxMessage     = 200 // characters
)

// every is the scope that stands for all APIs.
const every = "*"

// M3O's ids of the faults.
const (
	generateID = "v1.GenerateKey"
	revokeID   = "v1.Revoke"
)

// Deps is what the service needs.
type Deps struct {
	DB        *db.DB
	Bus       bus.Bus // fires OnKeysChanged
	Outbox    *outbox.Outbox
	Config    config.Source
	Metrics   prometheus.Registerer
	Log       *slog.Logger
	Now       func() time.Time // UTC
	Customers customersapi.Service
	PublicAPI publicapiapi.Service
}

// Service is the API keys.
type Service struct {
	settings
	db        *db.DB
	outbox    *outbox.Outbox
	log       *slog.Logger
	now       func() time.Time
	trigger   keysapi.MulticastTrigger
	customers customersapi.Service
	publicAPI publicapiapi.Service
}

// New makes the service.
func New(d Deps) (*Service, error) {
	s, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return &Service{
		settings: s, db: d.DB, outbox: d.Outbox, log: d.Log, now: d.Now,
		trigger: keysapi.NewMulticastTrigger(d.Bus), customers: d.Customers, publicAPI: d.PublicAPI,
	}, nil
}

// Generate issues a key to the caller. Scopes are names of published APIs or "*"
// (fault.Forbidden for another), and with the description they are required. A
// zero expires is never, a zero rate no limit of the key's own. More than 100
// live keys are fault.Conflict.
func (s *Service) Generate(ctx context.Context, scopes []string, description string, expires time.Time, rate int) (apiKey, apiKeyID string, err error) {
	caller, err := auth.Caller(ctx)
	if err != nil {
		return "", "", err
	}
	now := s.now()
	if err := checkRequest(scopes, description, expires, rate, now); err != nil {
		return "", "", err
	}
	if scopes, err = s.published(ctx, scopes); err != nil {
		return "", "", err
	}
	out, err := idempotency.Tx(ctx, s.db, func(tx *db.Tx) (keysapi.GenerateOut, error) {
		text, err := keysapi.NewKey(rand.Reader)
		if err != nil {
			return keysapi.GenerateOut{}, err
		}
		key := row{
			id: id.New("key"), customerID: caller.ID, hash: keysapi.Hash(text), prefix: text[:keysapi.PrefixSize],
			description: description, scopes: scopes, rate: rate, expires: expires, created: now,
		}
		if err := add(ctx, tx, key); err != nil {
			return keysapi.GenerateOut{}, err
		}
		return keysapi.GenerateOut{APIKey: text, APIKeyID: key.id}, s.state(ctx, tx, generated(caller.ID, key.id, scopes))
	})
	if err != nil {
		return "", "", err
	}
	return out.APIKey, out.APIKeyID, s.changed(ctx, caller.ID, "generated", 1)
}

func checkRequest(scopes []string, description string, expires time.Time, rate int, now time.Time) error {
	var f *fault.Error
	switch {
	case len(scopes) == 0:
		f = missing("scopes")
	case description == "":
		f = missing("description")
	case len(scopes) > maxScopes:
		f = fault.BadField("scopes", "there are %d, more than %d", len(scopes), maxScopes)
	case !utf8.ValidString(description) || utf8.RuneCountInString(description) > maxDescription:
		f = fault.BadField("description", "must be text of at most %d characters", maxDescription)
	case !expires.IsZero() && !expires.After(now):
		f = fault.BadField("expires", "must be in the future")
	case rate < 0:
		f = fault.BadField("rate", "must not be negative")
	default:
		return nil
	}
	return f.WithID(generateID)
}

// missing is M3O's sentence for a required field that is not there.
func missing(field string) *fault.Error {
	f := fault.New(fault.Invalid, "Missing %s field", field)
	f.Fields = []fault.Field{{Name: field, Detail: "is required"}}
	return f
}

// published returns the scopes in lower case, each once, or fault.Forbidden when
// one is not an API on sale.
func (s *Service) published(ctx context.Context, scopes []string) ([]string, error) {
	catalogue, err := s.publicAPI.Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the published APIs: %w", err)
	}
	onSale := map[string]bool{every: true}
	for _, api := range catalogue.APIs {
		onSale[strings.ToLower(api.Name)] = true
	}
	var found []string
	for _, scope := range scopes {
		scope = strings.ToLower(scope)
		if !onSale[scope] {
			return nil, fault.New(fault.Forbidden, "Not allowed to generate a key with requested scopes").WithID(generateID)
		}
		if !slices.Contains(found, scope) {
			found = append(found, scope)
		}
	}
	return found, nil
}

// ListKeys lists the caller's live keys, newest first. There are at most 100.
func (s *Service) ListKeys(ctx context.Context) (apiKeys []keysapi.Key, err error) {
	caller, err := auth.Caller(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := ofCustomer(ctx, s.db, caller.ID)
	if err != nil {
		return nil, err
	}
	blocks, err := blocksOf(ctx, s.db, caller.ID)
	if err != nil {
		return nil, err
	}
	ban, err := s.ban(ctx, caller.ID)
	if err != nil {
		return nil, err
	}
	apiKeys = make([]keysapi.Key, len(rows))
	for i, key := range rows {
		apiKeys[i] = key.shown(append(blocks[key.id], ban...))
	}
	return apiKeys, nil
}

// Revoke ends a key of the caller's for good. One that is not the caller's, or is
// revoked already, is fault.NotFound.
func (s *Service) Revoke(ctx context.Context, id string) (err error) {
	caller, err := auth.Caller(ctx)
	if err != nil {
		return err
	}
	if id == "" {
		return missing("ID").WithID(revokeID)
	}
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out keysapi.RevokeOut, err error) {
		if err := revoke(ctx, tx, caller.ID, id, s.now()); err != nil {
			return out, err
		}
		if err := changelog.Note(ctx, tx, keysapi.Host, caller.ID); err != nil {
			return out, err
		}
		return out, s.state(ctx, tx, deleted(caller.ID, id))
	})
	if err != nil {
		return err
	}
	return s.changed(ctx, caller.ID, "revoked", 1)
}

// changed tells everybody who remembers keys of a customer to forget them, and
// counts the change.
func (s *Service) changed(ctx context.Context, customerID, change string, count int) error {
	s.IncrementKeys(count, change)
	if err := s.trigger.OnKeysChanged(ctx, customerID).Err(); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the change was made, but not everybody could be told: try again")
	}
	return nil
}
