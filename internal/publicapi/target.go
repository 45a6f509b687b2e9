package publicapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"m3o/internal/fault"
	"m3o/internal/publicapi/publicapiapi"
	"m3o/internal/rpc"
)

// serviceTarget begins a target that is a service on the bus.
const serviceTarget = "service:"

// isHTTP says whether a target is an HTTP server.
func isHTTP(target string) bool { return !strings.HasPrefix(target, serviceTarget) }

// entry is an API of the catalogue with everything that is worked out from it.
type entry struct {
	terms
	api      publicapiapi.API // with its document, also when none is stored
	revision int64
	document *document
	checks   map[string]*publicapiapi.Checks // by the endpoint's name, when requests are validated
	header   map[string]publicapiapi.Sealed  // the credentials for the gateways
	masked   map[string]publicapiapi.Secret  // the credentials as they are shown
	broken   string                          // why no call can be served
	shown    func() (json.RawMessage, error) // the document as callers see it
}

// build works out an API: where it is served, its document and endpoints, its
// prices. It checks what routing and charging rely on; see check for the rest.
func (s *Service) build(api publicapiapi.API) (*entry, error) {
	publication, err := s.target(api.Target)
	if err != nil {
		return nil, err
	}
	if api.OpenAPIJSON == "" {
		if api.OpenAPIJSON, err = documentOf(api, publication); err != nil {
			return nil, err
		}
	}
	e := &entry{api: api}
	if e.document, err = parse(api.Name, api.OpenAPIJSON, isHTTP(api.Target)); err != nil {
		return nil, err
	}
	if len(e.document.endpoints) == 0 {
		return nil, e.document.nothingToSell(isHTTP(api.Target))
	}
	if err := place(e.document.endpoints, api.Target, publication); err != nil {
		return nil, err
	}
	if e.terms, err = e.document.termsOf(api); err != nil {
		return nil, e.document.faultBefore(err)
	}
	if api.Validate != nil && *api.Validate {
		if e.checks, err = checksOf(e.document, api.OpenAPIJSON); err != nil {
			return nil, err
		}
	}
	e.shown = sync.OnceValues(e.gatewayDocument)
	return e, nil
}

// nothingToSell says why a document has no endpoints.
func (d *document) nothingToSell(operations bool) error {
	if operations {
		return d.faultBefore(fault.BadField("api.open_api_json", "has no operation, so there is nothing to sell"))
	}
	return fault.BadField("api.open_api_json", "has no operation on a path without parameters, so there is nothing to sell")
}

// faultBefore is the fault of the document that may be why its endpoints are not found.
func (d *document) faultBefore(err error) error {
	if len(d.faults) > 0 {
		return d.faults[0]
	}
	return err
}

// target reads a target; the publication is that of a compiled-in service.
func (s *Service) target(target string) (*rpc.Publication, error) {
	if host, ok := strings.CutPrefix(target, serviceTarget); ok {
		publication, compiled := s.compiled[host]
		switch {
		case !hostName.MatchString(host):
			return nil, fault.BadField("api.target", "%q is not the host of a service", host)
		case compiled && publication == nil:
			return nil, fault.BadField("api.target", "the service %s is not made for sale: its service.yaml has no publish section", host)
		}
		return publication, nil
	}
	u, err := url.Parse(target)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return nil, fault.BadField("api.target", "must be service:<host> or an http:// or https:// address")
	case u.User != nil:
		return nil, fault.BadField("api.target", "must not hold a user or a password")
	case u.Fragment != "" || u.RawQuery != "" || u.ForceQuery:
		return nil, fault.BadField("api.target", "must end with the path: no query, no fragment")
	}
	return nil, nil
}

var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)

// documentOf is the document of an API that came without one: the compiled-in
// service's, else one whose endpoints are those that prices and quotas name.
func documentOf(api publicapiapi.API, publication *rpc.Publication) (string, error) {
	if publication != nil {
		return string(publication.OpenAPI), nil
	}
	paths := map[string]any{}
	for _, key := range slices.Concat(slices.Sorted(maps.Keys(api.Pricing)), slices.Sorted(maps.Keys(api.Quotas))) {
		if key == everyEndpoint {
			continue
		}
		name := key
		if !strings.Contains(key, ".") {
			name = pascal(api.Name) + "." + pascal(key)
		}
		if !named.MatchString(name) {
			return "", fault.BadField("api.pricing", "%q is not the name of an endpoint: write it like %q", key, pascal(api.Name)+".Call")
		}
		_, last, _ := strings.Cut(name, ".")
		if _, ok := paths["/"+kebab(last)]; !ok {
			paths["/"+kebab(last)] = anything(name)
		}
	}
	if len(paths) == 0 {
		return "", fault.BadField("api.open_api_json", "is needed to know the endpoints; without it, api.pricing must name them")
	}
	text, err := json.Marshal(map[string]any{
		"openapi": "3.1.0", "paths": paths, "servers": []any{map[string]any{"url": "/v1/" + api.Name}},
		"info": map[string]any{"title": api.Name, "description": api.Description, "version": "1"},
	})
	if err != nil {
		return "", fmt.Errorf("make the document of %s: %w", api.Name, err)
	}
	return string(text), nil
}

// anything is a path item of an endpoint of which nothing but the name is known.
func anything(name string) map[string]any {
	content := map[string]any{"application/json": map[string]any{"schema": map[string]any{"type": "object"}}}
	return map[string]any{"post": map[string]any{
		"x-m3o-endpoint": name,
		"requestBody":    map[string]any{"content": content},
		"responses":      map[string]any{"200": map[string]any{"description": "OK", "content": content}},
	}}
}

// place sets where the endpoints are at their target. A compiled-in service knows
// its functions; another service on the bus has them where service.yaml puts them
// when it says nothing; at an HTTP server the document's paths hold.
func place(endpoints []endpoint, target string, publication *rpc.Publication) error {
	for i := range endpoints {
		e := &endpoints[i]
		switch {
		case publication != nil:
			f, ok := function(publication, e.name)
			if !ok {
				return fault.BadField("api.open_api_json", "%s: the service %s has no such function on sale", e.name, publication.Name)
			}
			e.path, e.stream, e.timeout = f.Path, f.Stream, f.Timeout
		case strings.HasPrefix(target, serviceTarget):
			_, last, _ := strings.Cut(e.name, ".")
			e.path = "/" + kebab(last)
		}
	}
	return nil
}

func function(publication *rpc.Publication, name string) (rpc.Function, bool) {
	for _, f := range publication.Functions {
		if canonical(f.Name) == lastOf(name) {
			return f, true
		}
	}
	return rpc.Function{}, false
}

// names lists the endpoints for a message.
func (d *document) names() string {
	names := make([]string, len(d.endpoints))
	for i, e := range d.endpoints {
		names[i] = e.name
	}
	return cut(strings.Join(names, ", "), 500)
}
