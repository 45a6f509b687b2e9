package publicapi

import (
	"context"
	"fmt"

	"m3o/internal/db"
	"m3o/internal/db/idempotency"
	"m3o/internal/publicapi/publicapiapi"
	"m3o/internal/rpc"
	"m3o/pkg/events/proto/publicapi"
)

// Declaration is a compiled-in publication as Declare takes it: its document is
// left out, since it comes with the program.
func Declaration(p *rpc.Publication) publicapiapi.API {
	api := publicapiapi.API{
		Name: p.Name, DisplayName: p.DisplayName, Description: p.Description, Category: p.Category, Icon: p.Icon,
		ExamplesJSON: p.Examples, Target: serviceTarget + p.Name,
		Pricing: map[string]publicapiapi.Amount{}, Quotas: map[string]publicapiapi.Amount{},
	}
	if len(p.Functions) > 0 {
		api.Target = serviceTarget + p.Functions[0].Host
	}
	for name, price := range p.Prices {
		api.Pricing[rpc.Title(p.Name)+"."+name] = publicapiapi.Amount(price)
	}
	for name, quota := range p.Quotas {
		api.Quotas[rpc.Title(p.Name)+"."+name] = publicapiapi.Amount(quota)
	}
	return api
}

// Declare publishes the compiled-in APIs (see Declaration), whose documents are
// those of the program, whatever is given. It changes nothing for
// one that an admin has published, changed or removed, nor for one that is as it
// was. It checks nobody: only app calls it, at start.
func (s *Service) Declare(ctx context.Context, apis []publicapiapi.API) (err error) {
	next := make([]row, len(apis))
	for i, api := range apis {
		api = s.completed(api)
		api.OpenAPIJSON = "" // the program has it, and a newer program has a newer one
		if _, err := s.check(ctx, api); err != nil {
			return fmt.Errorf("declare the API %s: %w", api.Name, err)
		}
		next[i] = row{API: api, declared: true}
		if next[i].digest, err = digestOf(api); err != nil {
			return err
		}
	}
	if stale, err := stale(ctx, s.db, next); err != nil || len(stale) == 0 {
		return err
	}
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out publicapiapi.DeclareOut, err error) {
		version, err := bump(ctx, tx)
		if err != nil {
			return out, err
		}
		changes, err := stale(ctx, tx, next)
		if err != nil {
			return out, err
		}
		for _, change := range changes {
			change.next.revision = version
			if err := s.write(ctx, tx, change.old, change.next); err != nil {
				return out, err
			}
		}
		return out, nil
	})
	if err != nil {
		return err
	}
	return s.changed(ctx)
}

type change struct{ old, next row }

// stale are those of the declared APIs that are to be written.
func stale(ctx context.Context, q db.Querier, declared []row) ([]change, error) {
	var changes []change
	for _, next := range declared {
		rows, err := list(ctx, q, findSQL, next.Name, "")
		switch {
		case err != nil:
			return nil, err
		case len(rows) == 0:
			changes = append(changes, change{next: next})
		case rows[0].declared && !rows[0].removed && rows[0].digest != next.digest:
			next.OwnerID = rows[0].OwnerID
			changes = append(changes, change{old: rows[0], next: next})
		}
	}
	return changes, nil
}

// state writes down a fact about an API, last in the transaction.
func (s *Service) state(ctx context.Context, tx *db.Tx, name string, fact *publicapi.Event) error {
	return s.outbox.Add(ctx, tx, publicapiapi.Host, publicapi.Topic, name, fact)
}

func enabled(name string) *publicapi.Event {
	return &publicapi.Event{Type: publicapi.EventType_EventTypeAPIEnable, ApiEnable: &publicapi.APIEnable{Name: name}}
}

func updated(name string) *publicapi.Event {
	return &publicapi.Event{Type: publicapi.EventType_EventTypeAPIUpdate, ApiUpdate: &publicapi.APIUpdate{Name: name}}
}

func disabled(name string) *publicapi.Event {
	return &publicapi.Event{Type: publicapi.EventType_EventTypeAPIDisable, ApiDisable: &publicapi.APIDisable{Name: name}}
}
