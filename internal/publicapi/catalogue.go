package publicapi

import (
	"context"
	"sync"
	"sync/atomic"

	"m3o/internal/auth"
	"m3o/internal/money"
	"m3o/internal/publicapi/publicapiapi"
)

// catalogue is all that is on sale at one version. It is never changed, only
// replaced.
type catalogue struct {
	version int64
	entries []*entry // by name
	byName  map[string]*entry
	route   publicapiapi.Catalogue
	gateway publicapiapi.Catalogue // route with the credentials
}

// memory is the catalogue that was read last.
type memory struct {
	current atomic.Pointer[catalogue]
	loading sync.Mutex // one reads, the others wait for it
}

// catalogue is what is on sale now. It asks the store for the version, and for
// the APIs when that has changed.
func (s *Service) catalogue(ctx context.Context) (*catalogue, error) {
	if c, err := s.inMemory(ctx); c != nil || err != nil {
		return c, err
	}
	s.memory.loading.Lock()
	defer s.memory.loading.Unlock()
	if c, err := s.inMemory(ctx); c != nil || err != nil {
		return c, err
	}
	c, err := s.load(ctx)
	if err == nil {
		s.memory.current.Store(c)
	}
	return c, err
}

// inMemory is the catalogue in memory, nil when it is not the newest.
func (s *Service) inMemory(ctx context.Context) (*catalogue, error) {
	c := s.memory.current.Load()
	if c == nil {
		return nil, nil
	}
	version, err := versionOf(ctx, s.db)
	if err != nil || version != c.version {
		return nil, err
	}
	return c, nil
}

// load reads the version first: rows that are newer than it make the next call
// load again, never the other way round. What has not changed is taken over.
func (s *Service) load(ctx context.Context) (*catalogue, error) {
	version, err := versionOf(ctx, s.db)
	if err != nil {
		return nil, err
	}
	rows, err := onSale(ctx, s.db)
	if err != nil {
		return nil, err
	}
	c := &catalogue{version: version, byName: map[string]*entry{}}
	old := s.memory.current.Load()
	for _, r := range rows {
		e, err := s.entry(ctx, old, r)
		if err != nil { // it passed the checks once, so the program has changed since
			s.log.ErrorContext(ctx, "an API of the catalogue cannot be sold", "api", r.Name, "error", err)
			continue
		}
		c.entries = append(c.entries, e)
		c.byName[r.Name] = e
	}
	c.route, c.gateway = routes(version, c.entries, false), routes(version, c.entries, true)
	return c, nil
}

// entry works out a row, or finds that this was done before.
func (s *Service) entry(ctx context.Context, old *catalogue, r row) (*entry, error) {
	if old != nil {
		if e := old.byName[r.Name]; e != nil && e.revision == r.revision {
			return e, nil
		}
	}
	e, err := s.build(r.API)
	if err != nil {
		return nil, err
	}
	e.revision = r.revision
	if err := unlock(s.keys, e, r.sealed); err != nil { // said once: the entry is taken over until it changes
		s.log.ErrorContext(ctx, "an API of the catalogue cannot be called", "api", r.Name, "error", err)
	}
	return e, nil
}

// routes is what the gateway routes and prices by.
func routes(version int64, entries []*entry, credentials bool) publicapiapi.Catalogue {
	found := publicapiapi.Catalogue{Version: version, APIs: make([]publicapiapi.Route, len(entries))}
	for i, e := range entries {
		route := publicapiapi.Route{Name: e.api.Name, Target: e.api.Target, Broken: e.broken, Endpoints: make([]publicapiapi.EndpointRoute, len(e.document.endpoints))}
		if credentials {
			route.Header = e.header
		}
		for j := range e.document.endpoints {
			route.Endpoints[j] = e.route(&e.document.endpoints[j])
		}
		found.APIs[i] = route
	}
	return found
}

// route is an endpoint with what the API says of it.
func (e *entry) route(at *endpoint) publicapiapi.EndpointRoute {
	r := at.route()
	r.Price, r.Quota, r.Units = money.Micros(e.pricing[at.name]), int64(e.quotas[at.name]), unitsOf(e.metering[at.name])
	r.Timeout, r.Checks = e.timeout(at), e.checks[at.name]
	return r
}

// gatewayHost is the one who makes the calls and so is told the credentials.
const gatewayHost = "gateway"

// Snapshot is everything that the gateway needs to route and price calls, by
// name; the credentials of the targets are in it, sealed, when the gateway asks. Callers
// share it and must not change it.
func (s *Service) Snapshot(ctx context.Context) (catalogue publicapiapi.Catalogue, err error) {
	c, err := s.catalogue(ctx)
	if err != nil {
		return catalogue, err
	}
	if a, ok := auth.From(ctx); ok && a.Type == auth.TypeService && a.ID == gatewayHost {
		return c.gateway, nil
	}
	return c.route, nil
}
