package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"m3o/internal/money"
	"m3o/internal/publicapi/publicapiapi"
	"m3o/internal/usage/usageapi"
)

// endpoint is one endpoint on sale, as calls are routed and priced by it. What a call
// needs of it is written out here, so that no call has to put it together.
type endpoint struct {
	publicapiapi.EndpointRoute
	api       string       // the API's name
	scope     string       // what a key must be allowed, lower case
	target    target       // who answers
	broken    bool         // nobody can
	hold      money.Micros // what a call may cost
	capped    string       // its name in a tier's caps
	capName   string       // of the allowance that counts towards the cap
	quotaName string       // of the allowance of free calls
	path      path         // Path, with places for the parameters of Pattern
	checks    *checks      // nil: any request will do
}

// catalogue is an immutable snapshot of what is on sale.
type catalogue struct {
	version int64
	apis    map[string]*api                 // by canonical name
	checks  map[publicapiapi.Checks]*checks // compiled
}

// api is where the endpoints of an API are found.
type api struct {
	names    map[string]*endpoint // by canonical name, or alias
	patterns *node                // nil: none
}

// newCatalogue prepares a snapshot. An API has its target from targets; checks that
// the catalogue before it has compiled are taken from there.
func newCatalogue(c publicapiapi.Catalogue, targets func(publicapiapi.Route) target, before *catalogue) (*catalogue, error) {
	snapshot := &catalogue{version: c.Version, apis: map[string]*api{}, checks: map[publicapiapi.Checks]*checks{}}
	var faults []error
	for _, route := range c.APIs {
		to := targets(route)
		for _, sold := range route.Endpoints {
			e := newEndpoint(route, sold, to)
			if err := snapshot.compile(e, before); err != nil {
				faults = append(faults, fmt.Errorf("%s of the API %s: %w", e.Name, e.api, err))
				e.broken = true // what cannot be checked is not served
			}
			snapshot.of(route.Name).add(e)
		}
	}
	for _, route := range c.APIs {
		snapshot.of(route.Name).addAliases(route)
	}
	return snapshot, errors.Join(faults...)
}

// compile gives an endpoint its checks.
func (c *catalogue) compile(e *endpoint, before *catalogue) (err error) {
	if e.Checks == nil {
		return nil
	}
	made := cmp.Or(c.checks[*e.Checks], before.checks[*e.Checks])
	if made == nil {
		if made, err = compile(*e.Checks); err != nil {
			return err
		}
	}
	c.checks[*e.Checks] = made
	e.checks = made
	return nil
}

func newEndpoint(route publicapiapi.Route, sold publicapiapi.EndpointRoute, to target) *endpoint {
	return &endpoint{
		EndpointRoute: sold, api: route.Name, scope: strings.ToLower(route.Name), target: to, broken: route.Broken != "",
		hold: charge(sold, maximum(sold)), capped: strings.ToLower(sold.Name),
		capName: usageapi.EndpointCap + sold.Name, quotaName: usageapi.EndpointQuota + sold.Name, path: newPath(sold.Path, sold.Pattern),
	}
}

func (c *catalogue) of(name string) *api {
	name = string(appendCanonical(nil, name))
	if c.apis[name] == nil {
		c.apis[name] = &api{names: map[string]*endpoint{}}
	}
	return c.apis[name]
}

// add puts an endpoint where calls find it.
func (a *api) add(e *endpoint) {
	if e.Pattern != "" {
		if a.patterns == nil {
			a.patterns = &node{}
		}
		a.patterns.add(e.Pattern, e)
	}
	if !strings.Contains(e.Pattern, "{") {
		a.names[shortName(e.Name)] = e
	}
}

// addAliases lets endpoints be called by a former name that nobody has now.
func (a *api) addAliases(route publicapiapi.Route) {
	for _, sold := range route.Endpoints {
		e := a.names[shortName(sold.Name)]
		if alias := shortName(sold.Alias); sold.Alias != "" && e != nil && a.names[alias] == nil {
			a.names[alias] = e
		}
	}
}

// shortName is the canonical name of an endpoint without its API's: "call" of
// "Helloworld.Call".
func shortName(name string) string {
	if _, last, dotted := strings.Cut(name, "."); dotted {
		name = last
	}
	return string(appendCanonical(nil, name))
}

// found is the endpoint that a call means.
type found struct {
	endpoint *endpoint // nil: none
	values   []string  // of its Pattern's parameters, escaped
	allow    string    // without an endpoint: the methods that there are at this place; empty: there is no such place
}

// find is the endpoint of a request below /v1/: by method and pattern, else by name
// as {service}/{endpoint}, or M3O's longer form {service}/{service}/{endpoint}. Case
// and dashes do not matter in names.
func (c *catalogue) find(r *http.Request) found {
	service, name, ok := strings.Cut(strings.Trim(strings.TrimPrefix(r.URL.Path, "/v1/"), "/"), "/")
	var buffer [nameSize]byte
	api := c.apis[string(appendCanonical(buffer[:0], service))]
	if api == nil {
		return found{}
	}
	var s search
	if api.patterns != nil {
		s.method = r.Method
		if e := api.patterns.find(&s, below(r.URL.EscapedPath())); e != nil {
			return found{endpoint: e, values: s.values}
		}
	}
	if _, last, three := strings.Cut(name, "/"); three {
		name = last
	}
	if e := api.names[string(appendCanonical(buffer[:0], name))]; ok && e != nil {
		if e.takes(r.Method) {
			return found{endpoint: e}
		}
		s.allow(http.MethodPost)
	}
	return found{allow: s.allowed()}
}

// takes says whether an endpoint may be called by its name with a method. One that is
// called by a method of its own is called by POST beside it, as in M3O; M3O's own form
// takes any. The answer to a HEAD has no body, and that to a POST must have what it says.
func (e *endpoint) takes(method string) bool {
	return e.Method == "" || method == e.Method || method == http.MethodPost && e.Method != http.MethodHead
}

// nameSize is how long names are that are looked up without an allocation.
const nameSize = 128

// appendCanonical adds a name in the form in which names are compared: in lower case,
// without dashes.
func appendCanonical(b []byte, name string) []byte {
	for i := range len(name) {
		switch c := name[i]; {
		case c == '-':
		case 'A' <= c && c <= 'Z':
			b = append(b, c+'a'-'A')
		default:
			b = append(b, c)
		}
	}
	return b
}
