package events

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/db"
	"m3o/internal/db/audit"
	"m3o/internal/events/eventsapi"
	"m3o/internal/fault"
)

// kept is how long what is done with is kept. Consumers de-duplicate by what is
// kept, so it is far longer than any delivery takes.
const kept = 30 * 24 * time.Hour

// Deps is what the service needs.
type Deps struct {
	DB      *db.DB // for the audit trail
	Outbox  *outbox.Outbox
	Config  config.Source
	Metrics prometheus.Registerer
	Now     func() time.Time // UTC
}

// Service shows facts and dead letters.
type Service struct {
	settings
	db     *db.DB
	outbox *outbox.Outbox
	now    func() time.Time
}

// New makes the service.
func New(d Deps) (*Service, error) {
	s, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	return &Service{settings: s, db: d.DB, outbox: d.Outbox, now: d.Now}, nil
}

// List lists facts, newest first, of one topic unless it is empty. A fact that was
// replayed is there once more, under the same id.
func (s *Service) List(ctx context.Context, topic string, limit int, cursor string) (events []eventsapi.Event, nextCursor string, err error) {
	if err := auth.Admin(ctx); err != nil {
		return nil, "", err
	}
	records, next, err := s.outbox.List(ctx, topic, limit, cursor)
	if err != nil {
		return nil, "", err
	}
	events = make([]eventsapi.Event, len(records))
	for i, r := range records {
		events[i] = shown(r.Event, !r.PublishedAt.IsZero())
	}
	return events, next, nil
}

// DeadLetters lists deliveries that were given up, newest first.
func (s *Service) DeadLetters(ctx context.Context, limit int, cursor string) (deadLetters []eventsapi.DeadLetter, nextCursor string, err error) {
	if err := auth.Admin(ctx); err != nil {
		return nil, "", err
	}
	letters, next, err := s.outbox.DeadLetters(ctx, limit, cursor)
	if err != nil {
		return nil, "", err
	}
	deadLetters = make([]eventsapi.DeadLetter, len(letters))
	for i, l := range letters {
		deadLetters[i] = eventsapi.DeadLetter{
			ID: l.ID, Group: l.Group, Error: l.Error, Attempts: l.Tries, Time: l.DiedAt,
			Replayed: !l.ReplayedAt.IsZero(), Event: shown(l.Event, true),
		}
	}
	return deadLetters, next, nil
}

func shown(e bus.Event, published bool) eventsapi.Event {
	return eventsapi.Event{
		ID: e.ID, Topic: e.Topic, Type: e.Type, TypeName: e.TypeName, Source: e.Source, Key: e.Key,
		Time: e.Time, Published: published, Data: json.RawMessage(e.Data),
	}
}

// Replay has a dead letter delivered once more, to the group that gave it up. An
// unknown id is fault.NotFound. It is repeatable: a letter that has been replayed
// and has not died again is left alone.
func (s *Service) Replay(ctx context.Context, id string) (err error) {
	if err := auth.Admin(ctx); err != nil {
		return err
	}
	if id == "" {
		return fault.BadField("id", "is required")
	}
	if err := s.outbox.Replay(ctx, id); err != nil {
		return err
	}
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		return audit.Add(ctx, tx, s.now(), "events.Replay", id, nil)
	})
}

// Sweep deletes what is done with and older than thirty days.
func (s *Service) Sweep(ctx context.Context) (err error) { return s.outbox.Retain(ctx, kept) }
