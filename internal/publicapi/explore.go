package publicapi

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"m3o/internal/auth"
	"m3o/internal/fault"
	"m3o/internal/page"
	"m3o/internal/publicapi/publicapiapi"
)

// Get reads an API on sale, named by name or id; without either it is
// fault.Invalid. Admins see it as it was published, with its target and the names of
// its credentials; others with its document as they call it.
func (s *Service) Get(ctx context.Context, name, id string) (api publicapiapi.API, err error) {
	if err := checkNamed("name", name, id); err != nil {
		return api, err
	}
	c, err := s.catalogue(ctx)
	if err != nil {
		return api, err
	}
	for _, e := range c.entries {
		if e.api.Name == strings.ToLower(name) || (name == "" && e.api.ID == id) {
			return visible(ctx, e)
		}
	}
	return api, notFound(name, id)
}

// List lists all APIs on sale by name, each as Get shows it.
func (s *Service) List(ctx context.Context) (apis []publicapiapi.API, err error) {
	c, err := s.catalogue(ctx)
	if err != nil {
		return nil, err
	}
	apis = make([]publicapiapi.API, len(c.entries))
	for i, e := range c.entries {
		if apis[i], err = visible(ctx, e); err != nil {
			return nil, err
		}
	}
	return apis, nil
}

// visible is an API as the caller may see it. The maps are the caller's own.
func visible(ctx context.Context, e *entry) (publicapiapi.API, error) {
	if auth.Admin(ctx) != nil {
		return public(e)
	}
	api := e.api
	api.Pricing, api.Quotas = maps.Clone(e.pricing), maps.Clone(e.quotas)
	api.Metering, api.Timeouts, api.Credentials = noneIfEmpty(e.metering), noneIfEmpty(e.timeouts), noneIfEmpty(e.masked)
	return api, nil
}

// public is an API as everybody may see it: without its target and what it is to the
// target.
func public(e *entry) (publicapiapi.API, error) {
	api := e.api
	document, err := e.shown()
	if err != nil {
		return api, err
	}
	api.Pricing, api.Quotas, api.Metering = maps.Clone(e.pricing), maps.Clone(e.quotas), noneIfEmpty(e.metering)
	api.Target, api.Timeouts, api.Credentials, api.OpenAPIJSON = "", nil, nil, string(document)
	return api, nil
}

// noneIfEmpty is a copy of a map, nil when there is nothing in it.
func noneIfEmpty[V any](m map[string]V) map[string]V {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}

// ExploreIndex lists the catalogue by name: limit of them (50 for 0, at most
// 1000) from offset on.
func (s *Service) ExploreIndex(ctx context.Context, limit, offset int) (apis []publicapiapi.Summary, err error) {
	if limit, err = page.Limit(limit); err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, fault.BadField("offset", "must not be negative")
	}
	c, err := s.catalogue(ctx)
	if err != nil {
		return nil, err
	}
	from := min(offset, len(c.entries))
	return summaries(c.entries[from:min(from+limit, len(c.entries))]), nil
}

// ExploreSearch lists the APIs of the categories (of all when there are none) that
// have the term in a name, then those that have it in an endpoint, then in the
// description; at most 1000, in each group by name. Case does not matter. An empty
// term is in every name.
func (s *Service) ExploreSearch(ctx context.Context, searchTerm string, categories []string) (apis []publicapiapi.Summary, err error) {
	c, err := s.catalogue(ctx)
	if err != nil {
		return nil, err
	}
	term := strings.ToLower(strings.TrimSpace(searchTerm))
	var hits [3][]*entry
	for _, e := range c.entries {
		if rank, ok := rankOf(e, term); ok && inCategory(e.api.Category, categories) {
			hits[rank] = append(hits[rank], e)
		}
	}
	found := slices.Concat(hits[0], hits[1], hits[2])
	return summaries(found[:min(len(found), page.Max)]), nil
}

func inCategory(category string, categories []string) bool {
	return len(categories) == 0 || slices.ContainsFunc(categories, func(c string) bool { return strings.EqualFold(c, category) })
}

// rankOf says where an API has a term: 0 in a name, 1 in an endpoint, 2 in the description.
func rankOf(e *entry, term string) (rank int, ok bool) {
	has := func(text string) bool { return strings.Contains(strings.ToLower(text), term) }
	switch {
	case has(e.api.Name) || has(e.api.DisplayName):
		return 0, true
	case slices.ContainsFunc(e.document.endpoints, func(at endpoint) bool { return has(at.name) }):
		return 1, true
	case has(e.api.Description):
		return 2, true
	}
	return 0, false
}

func summaries(entries []*entry) []publicapiapi.Summary {
	found := make([]publicapiapi.Summary, len(entries))
	for i, e := range entries {
		found[i] = summary(e)
	}
	return found
}

func summary(e *entry) publicapiapi.Summary {
	found := publicapiapi.Summary{
		Name: e.api.Name, DisplayName: e.api.DisplayName, Description: e.api.Description, Category: e.api.Category, Icon: e.api.Icon,
		Endpoints: endpointsOf(e),
	}
	return found
}

// endpointsOf says how the endpoints of an API are called.
func endpointsOf(e *entry) []publicapiapi.Endpoint {
	found := make([]publicapiapi.Endpoint, len(e.document.endpoints))
	for i := range e.document.endpoints {
		at := e.route(&e.document.endpoints[i])
		method, path := at.Address(e.api.Name)
		found[i] = publicapiapi.Endpoint{Name: at.Name, Method: method, Path: path, Price: publicapiapi.Amount(at.Price)}
	}
	return found
}

// ExploreAPI shows one API with its documents as everybody sees them; its target
// to admins only. One that is not on sale is fault.NotFound.
func (s *Service) ExploreAPI(ctx context.Context, name string) (about publicapiapi.Summary, api publicapiapi.API, err error) {
	e, err := s.named(ctx, name)
	if err != nil {
		return about, api, err
	}
	if api, err = public(e); auth.Admin(ctx) == nil {
		api.Target = e.api.Target
	}
	return summary(e), api, err
}

// named is the entry of that name, or fault.NotFound.
func (s *Service) named(ctx context.Context, name string) (*entry, error) {
	c, err := s.catalogue(ctx)
	if err != nil {
		return nil, err
	}
	if e := c.byName[strings.ToLower(name)]; e != nil {
		return e, nil
	}
	return nil, notFound(name, "")
}

// ListCategories lists the categories that some API is in, in order.
func (s *Service) ListCategories(ctx context.Context) (categories []string, err error) {
	c, err := s.catalogue(ctx)
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, e := range c.entries {
		if e.api.Category != "" {
			used[e.api.Category] = true
		}
	}
	return append([]string{}, slices.Sorted(maps.Keys(used))...), nil
}

// Pricing lists every API by name with the price of each of its endpoints, 0
// where none is set, its quotas, and how the endpoints are called.
func (s *Service) Pricing(ctx context.Context) (prices []publicapiapi.Price, err error) {
	c, err := s.catalogue(ctx)
	if err != nil {
		return nil, err
	}
	prices = make([]publicapiapi.Price, len(c.entries))
	for i, e := range c.entries {
		all := map[string]publicapiapi.Amount{}
		for _, at := range e.document.endpoints {
			all[at.name] = e.pricing[at.name]
		}
		prices[i] = publicapiapi.Price{
			Name: e.api.Name, ID: e.api.ID, DisplayName: e.api.DisplayName, Icon: e.api.Icon,
			Pricing: all, Quotas: maps.Clone(e.quotas), Endpoints: endpointsOf(e),
		}
	}
	return prices, nil
}

// OpenAPI is the OpenAPI document of an API on sale, as callers have it: of an HTTP
// server's, with the paths at the gateway and the API key.
func (s *Service) OpenAPI(ctx context.Context, name string) (httpResponseBody any, err error) {
	e, err := s.named(ctx, name)
	if err != nil {
		return nil, err
	}
	return e.shown()
}

// Postman is a Postman collection of an API on sale: the one it was published
// with, else one made of its document.
func (s *Service) Postman(ctx context.Context, name string) (httpResponseBody any, err error) {
	e, err := s.named(ctx, name)
	if err != nil {
		return nil, err
	}
	if e.api.PostmanJSON != "" {
		return json.RawMessage(e.api.PostmanJSON), nil
	}
	return collectionOf(e)
}
