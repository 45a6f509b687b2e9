package publicapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/db"
	"m3o/internal/db/audit"
	"m3o/internal/db/changelog"
	"m3o/internal/db/idempotency"
	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/publicapi/publicapiapi"
	"m3o/internal/rpc"
)

// Deps is what the service needs.
type Deps struct {
	DB      *db.DB
	Bus     bus.Bus // fires OnCatalogueChanged
	Outbox  *outbox.Outbox
	Config  config.Source
	Metrics prometheus.Registerer
	Log     *slog.Logger
	Now     func() time.Time // UTC

	// Compiled has every service of this program by its host. The value is how it
	// stands in the catalogue; nil says that it is not for sale, so that nobody
	// publishes, say, the functions of the ledger by mistake. A host that is not
	// here is taken to be somebody's service on the bus.
	Compiled map[string]*rpc.Publication

	// Secret seals the credentials of targets; it has 32 bytes, or none: then no
	// credential can be stored, and calls that need one are refused. Former are older
	// ones, which still open what was sealed under them.
	Secret []byte
	Former [][]byte

	// Reachable says whether targets may be at an address, so that a publisher hears of
	// it at once; who calls checks each address again. Nil: they may be anywhere.
	Reachable func(netip.Addr) bool
}

// Service is the catalogue.
type Service struct {
	settings
	db        *db.DB
	outbox    *outbox.Outbox
	log       *slog.Logger
	now       func() time.Time
	trigger   publicapiapi.MulticastTrigger
	compiled  map[string]*rpc.Publication
	keys      *publicapiapi.Keyring
	reachable func(netip.Addr) bool
	memory    memory
}

// New makes the service.
func New(d Deps) (*Service, error) {
	s, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("publicapi: %w", err)
	}
	keys, err := publicapiapi.NewKeyring(d.Secret, d.Former...)
	if err != nil {
		return nil, fmt.Errorf("publicapi: %w", err)
	}
	if d.Reachable == nil {
		d.Reachable = func(netip.Addr) bool { return true }
	}
	return &Service{
		settings: s, db: d.DB, outbox: d.Outbox, log: d.Log, now: d.Now,
		trigger: publicapiapi.NewMulticastTrigger(d.Bus), compiled: d.Compiled, keys: keys, reachable: d.Reachable,
	}, nil
}

// Publish puts an API on sale, or replaces the one of that name, which keeps its
// id and, unless another is given, its owner. The API that breaks a rule is
// fault.Invalid and names the field. An empty target is the compiled-in service of
// that name; an empty document is that service's, or is made of the prices' names.
// Credentials that are not given are gone; the text Masked keeps one.
func (s *Service) Publish(ctx context.Context, api publicapiapi.API) (err error) {
	if err := auth.Admin(ctx); err != nil {
		return err
	}
	caller, err := auth.Caller(ctx)
	if err != nil {
		return err
	}
	api = s.completed(api)
	if _, err := s.check(ctx, api); err != nil {
		return err
	}
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out publicapiapi.PublishOut, err error) {
		version, err := bump(ctx, tx)
		if err != nil {
			return out, err
		}
		old, err := find(ctx, tx, api.Name, "")
		if err != nil && !fault.Is(err, fault.NotFound) {
			return out, err
		}
		next := row{API: api, revision: version}
		if next.OwnerID == "" {
			next.OwnerID = old.OwnerID
		}
		if next.OwnerID == "" {
			next.OwnerID = caller.ID
		}
		if next.sealed, err = sealedFor(s.keys, api, kept(old.sealed, api.Credentials)); err != nil {
			return out, err
		}
		if err := audit.Add(ctx, tx, s.now(), "publicapi.Publish", api.Name, map[string]string{"target": api.Target, "credentials": auditedNames(api.Credentials)}); err != nil {
			return out, err
		}
		return out, s.write(ctx, tx, old, next)
	})
	if err != nil {
		return err
	}
	return s.changed(ctx)
}

// completed fills what an API that comes in may leave out.
func (s *Service) completed(api publicapiapi.API) publicapiapi.API {
	if _, compiled := s.compiled[api.Name]; compiled && api.Target == "" {
		api.Target = serviceTarget + api.Name
	}
	if api.DisplayName == "" {
		api.DisplayName = api.Name
	}
	if api.Pricing == nil {
		api.Pricing = map[string]publicapiapi.Amount{}
	}
	if api.Quotas == nil {
		api.Quotas = map[string]publicapiapi.Amount{}
	}
	return api
}

// write stores next in place of old, which is the zero row when there was none,
// with the fact of it.
func (s *Service) write(ctx context.Context, tx *db.Tx, old, next row) (err error) {
	next.ID, next.created, next.updated, next.Credentials = old.ID, old.created, s.now(), nil
	fresh := old.ID == ""
	if fresh {
		next.ID, next.created = id.New("api"), s.now()
	}
	if next.digest, err = digestOf(next.API); err != nil {
		return err
	}
	if err := put(ctx, tx, next); err != nil {
		return err
	}
	if err := changelog.Note(ctx, tx, publicapiapi.Host, ""); err != nil {
		return err
	}
	if fresh || old.removed {
		return s.state(ctx, tx, next.Name, enabled(next.Name))
	}
	return s.state(ctx, tx, next.Name, updated(next.Name))
}

// Update changes the members that are given of an API, named by name or id: a text
// that is empty and a map that is absent (null) stay as they are, an empty map {}
// means no prices or no quotas at all. Credentials stay but for those given, of which
// an empty one is removed. The name stays. The outcome is held to the rules of Publish. An API that is not on sale is fault.NotFound.
func (s *Service) Update(ctx context.Context, api publicapiapi.API) (err error) {
	if err := auth.Admin(ctx); err != nil {
		return err
	}
	if err := checkNamed("api.name", api.Name, api.ID); err != nil {
		return err
	}
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out publicapiapi.UpdateOut, err error) {
		version, err := bump(ctx, tx)
		if err != nil {
			return out, err
		}
		old, err := findOnSale(ctx, tx, api.Name, api.ID)
		if err != nil {
			return out, err
		}
		next := row{API: merged(old.API, api), revision: version}
		if _, err := s.check(ctx, next.API); err != nil {
			return out, err
		}
		if next.sealed, err = sealedFor(s.keys, next.API, old.sealed); err != nil {
			return out, err
		}
		if err := audit.Add(ctx, tx, s.now(), "publicapi.Update", old.Name, map[string]string{"credentials": auditedNames(api.Credentials)}); err != nil {
			return out, err
		}
		return out, s.write(ctx, tx, old, next)
	})
	if err != nil {
		return err
	}
	return s.changed(ctx)
}

// merged is old with the members of given that are there.
func merged(old, given publicapiapi.API) publicapiapi.API {
	for _, member := range []struct {
		into  *string
		value string
	}{
		{&old.DisplayName, given.DisplayName}, {&old.Description, given.Description}, {&old.Category, given.Category},
		{&old.Icon, given.Icon}, {&old.OwnerID, given.OwnerID}, {&old.OpenAPIJSON, given.OpenAPIJSON},
		{&old.PostmanJSON, given.PostmanJSON}, {&old.ExamplesJSON, given.ExamplesJSON}, {&old.Target, given.Target},
	} {
		if member.value != "" {
			*member.into = member.value
		}
	}
	if given.Pricing != nil {
		old.Pricing = given.Pricing
	}
	if given.Quotas != nil {
		old.Quotas = given.Quotas
	}
	if given.Metering != nil {
		old.Metering = given.Metering
	}
	if given.Timeouts != nil {
		old.Timeouts = given.Timeouts
	}
	if given.Validate != nil {
		old.Validate = given.Validate
	}
	old.Credentials = given.Credentials
	return old
}

// Remove takes an API off sale, named by name or id. Its name stays known, so that
// a compiled-in one does not come back at the next start; Publish brings it back.
// One that is not on sale is fault.NotFound.
func (s *Service) Remove(ctx context.Context, name, id string) (err error) {
	if err := auth.Admin(ctx); err != nil {
		return err
	}
	if err := checkNamed("name", name, id); err != nil {
		return err
	}
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out publicapiapi.RemoveOut, err error) {
		version, err := bump(ctx, tx)
		if err != nil {
			return out, err
		}
		old, err := findOnSale(ctx, tx, name, id)
		if err != nil {
			return out, err
		}
		if err := remove(ctx, tx, old, s.now(), version); err != nil {
			return out, err
		}
		if err := audit.Add(ctx, tx, s.now(), "publicapi.Remove", old.Name, nil); err != nil {
			return out, err
		}
		if err := changelog.Note(ctx, tx, publicapiapi.Host, ""); err != nil {
			return out, err
		}
		return out, s.state(ctx, tx, old.Name, disabled(old.Name))
	})
	if err != nil {
		return err
	}
	return s.changed(ctx)
}

func checkNamed(field, name, id string) error {
	if name == "" && id == "" {
		return fault.BadField(field, "is required, or the id")
	}
	return nil
}

// findOnSale is find for an API that has not been removed.
func findOnSale(ctx context.Context, q db.Querier, name, id string) (row, error) {
	found, err := find(ctx, q, name, id)
	if err == nil && found.removed {
		return row{}, notFound(name, id)
	}
	return found, err
}

// changed has everybody who holds a snapshot take a new one.
func (s *Service) changed(ctx context.Context) error {
	if err := s.trigger.OnCatalogueChanged(ctx).Err(); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the change was made, but not everybody could be told: try again")
	}
	return nil
}
