package gateway

import (
	"strings"

	"m3o/internal/publicapi/publicapiapi"
)

// endpoint is one endpoint on sale, as calls are routed and priced by it.
type endpoint struct {
	publicapiapi.EndpointRoute
	api    string // the API's name
	scope  string // what a key must be allowed, lower case
	target target
}

// catalogue is an immutable snapshot of what is on sale.
type catalogue struct {
	version   int64
	endpoints map[string]*endpoint // by canonical "service/endpoint"
}

func newCatalogue(c publicapiapi.Catalogue, targets func(address string) target) *catalogue {
	snapshot := &catalogue{version: c.Version, endpoints: map[string]*endpoint{}}
	for _, api := range c.APIs {
		to := targets(api.Target)
		for _, route := range api.Endpoints {
			e := &endpoint{EndpointRoute: route, api: api.Name, scope: strings.ToLower(api.Name), target: to}
			_, name, found := strings.Cut(route.Name, ".")
			if !found {
				name = route.Name
			}
			snapshot.endpoints[canonical(api.Name)+"/"+canonical(name)] = e
		}
	}
	return snapshot
}

// find is the endpoint of a path below /v1/: {service}/{endpoint}, or M3O's
// longer form {service}/{service}/{endpoint}. Case and dashes do not matter.
func (c *catalogue) find(path string) *endpoint {
	service, name, ok := strings.Cut(strings.Trim(path, "/"), "/")
	if !ok {
		return nil
	}
	if _, last, three := strings.Cut(name, "/"); three {
		name = last
	}
	return c.endpoints[canonical(service)+"/"+canonical(name)]
}

// canonical makes names comparable. It allocates only where there is something
// to change.
func canonical(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, "-", ""))
}
