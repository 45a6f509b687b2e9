package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"m3o/internal/auth"
	"m3o/internal/config"
	"m3o/internal/customers/customersapi"
	"m3o/internal/publicapi/publicapiapi"
	"m3o/internal/rpc"
	"m3o/internal/web"
)

// authenticate lets the edge ask customers who an access token belongs to.
func authenticate(customers customersapi.Service) func(context.Context, string) (auth.Account, error) {
	return func(ctx context.Context, accessToken string) (auth.Account, error) {
		session, err := customers.Authenticate(ctx, accessToken)
		if err != nil {
			return auth.Account{}, err
		}
		account := auth.Account{ID: session.CustomerID, Type: auth.TypeCustomer, Session: session.ID}
		if session.Admin {
			account.Type = auth.TypeAdmin
		}
		return account, nil
	}
}

// catalogue shows the edge what is on sale.
func catalogue(apis publicapiapi.Service) func(context.Context) (web.Catalogue, error) {
	return func(ctx context.Context) (web.Catalogue, error) {
		snapshot, err := apis.Snapshot(ctx)
		if err != nil {
			return web.Catalogue{}, fmt.Errorf("read the catalogue: %w", err)
		}
		list, err := apis.List(ctx)
		if err != nil {
			return web.Catalogue{}, fmt.Errorf("list the catalogue: %w", err)
		}
		routes := map[string]publicapiapi.Route{}
		for _, route := range snapshot.APIs {
			routes[route.Name] = route
		}
		c := web.Catalogue{Version: snapshot.Version}
		for _, api := range list {
			c.APIs = append(c.APIs, shown(api, routes[api.Name].Endpoints))
		}
		return c, nil
	}
}

func shown(api publicapiapi.API, endpoints []publicapiapi.EndpointRoute) web.API {
	a := web.API{
		Name: api.Name, DisplayName: api.DisplayName, Description: api.Description, Category: api.Category, Icon: api.Icon,
		Document: []byte(api.OpenAPIJSON),
	}
	for _, e := range endpoints {
		a.Endpoints = append(a.Endpoints, web.Endpoint{Name: e.Name, Path: callPath(api.Name, e.Name), Price: e.Price, Free: e.Quota, Stream: e.Stream})
	}
	return a
}

// callPath is where an endpoint such as "Helloworld.Call" is called.
func callPath(api, endpoint string) string {
	_, short, _ := strings.Cut(endpoint, ".")
	if short != "" {
		short = strings.ToLower(short[:1]) + short[1:]
	}
	return "/v1/" + api + "/" + short
}

// published is a compiled-in service's entry in the catalogue.
func published(host string, p *rpc.Publication) publicapiapi.API {
	api := publicapiapi.API{
		Name: p.Name, DisplayName: p.DisplayName, Description: p.Description, Category: p.Category, Icon: p.Icon,
		OpenAPIJSON: string(p.OpenAPI), ExamplesJSON: p.Examples, Target: "service:" + host,
		Pricing: map[string]publicapiapi.Amount{}, Quotas: map[string]publicapiapi.Amount{},
	}
	for function, price := range p.Prices {
		api.Pricing[rpc.Title(p.Name)+"."+function] = publicapiapi.Amount(price)
	}
	for function, quota := range p.Quotas {
		api.Quotas[rpc.Title(p.Name)+"."+function] = publicapiapi.Amount(quota)
	}
	return api
}

// declare puts the compiled-in services on sale, except where an admin has said
// otherwise.
func (a *App) declare(ctx context.Context) error {
	var apis []publicapiapi.API
	for _, m := range a.house.members {
		if p := m.service.Published(); p != nil {
			apis = append(apis, published(m.Host, p))
		}
	}
	if err := a.house.publicapi.Declare(auth.AsService(ctx, "app"), apis); err != nil {
		return fmt.Errorf("declare the compiled-in APIs: %w", err)
	}
	return nil
}

// OpenAPI is the document of everything that is compiled in, as /openapi.json
// shows it on the first start.
func OpenAPI(ctx context.Context, version string) (text []byte, err error) {
	err = draft(ctx, func(h *house) error {
		var c web.Catalogue
		for _, m := range h.members {
			p := m.service.Published()
			if p == nil {
				continue
			}
			var endpoints []publicapiapi.EndpointRoute
			for _, f := range p.Functions {
				endpoints = append(endpoints, publicapiapi.EndpointRoute{Name: f.Endpoint(), Price: p.Prices[f.Name]})
			}
			c.APIs = append(c.APIs, shown(published(m.Host, p), endpoints))
		}
		text, err = web.OpenAPI(h.documents(), c, version)
		return err
	})
	return text, err
}

// edgeSettings are what an operator may set of the edge, under "edge" in the
// config file.
type edgeSettings struct {
	origins []string
	proxies []netip.Prefix
}

func newEdgeSettings(source config.Source) (s edgeSettings, err error) {
	origins, err := config.NewValue[string](source, config.Property{Host: "edge", Name: "Origins", Default: "[]", Rule: "json"})
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(origins.Get()), &s.origins); err != nil {
		return s, fmt.Errorf("config edge.Origins: write a list of origins such as [\"https://app.example.com\"]: %w", err)
	}
	proxies, err := config.NewValue[string](source, config.Property{Host: "edge", Name: "Proxies", Default: "[]", Rule: "json"})
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(proxies.Get()), &s.proxies); err != nil {
		return s, fmt.Errorf("config edge.Proxies: write a list of networks such as [\"10.0.0.0/8\"]: %w", err)
	}
	return s, nil
}
