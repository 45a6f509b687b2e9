package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

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
		method, path := e.Address(api.Name)
		a.Endpoints = append(a.Endpoints, web.Endpoint{Name: e.Name, Method: method, Path: path, Price: e.Price, Free: e.Quota, Stream: e.Stream})
	}
	return a
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
// otherwise. Whoever runs the catalogue does it, also for services that run elsewhere.
func (a *App) declare(ctx context.Context) error {
	if !a.runs(publicapiapi.Host) {
		return nil
	}
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
func OpenAPI(version string) ([]byte, error) {
	h, err := draft()
	if err != nil {
		return nil, err
	}
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
	return web.OpenAPI(h.documents(), c, version)
}

// edgeSettings are what an operator may set of the edge, under "edge" in the
// config file.
type edgeSettings struct {
	origins []string
	proxies []netip.Prefix
	ports   web.Ports
	every   uint64 // of the requests that succeed, one in so many is logged
}

// newEdgeSettings reads them. What is wrong is an error and gives way to no default:
// an edge that is more open than its operator wrote must not start.
func newEdgeSettings(source config.Source) (s edgeSettings, err error) {
	var rules []string
	if err := errors.Join(
		edgeList(source, "Origins", `origins such as ["https://app.example.com"]`, &s.origins),
		edgeList(source, "Proxies", `networks such as ["10.0.0.0/8"]`, &s.proxies),
		edgeList(source, "Ports", `rules such as ["8080:*->*", "80:*->443"]`, &rules),
		edgeNumber(source, "LogEvery", &s.every),
	); err != nil {
		return s, err
	}
	if s.ports, err = web.ParsePorts(rules); err != nil {
		return s, fmt.Errorf("config edge.Ports: %w", err)
	}
	return s, nil
}

// edgeList reads one of them, a list in JSON, into a slice; one that is not set stays empty.
func edgeList(source config.Source, name, kind string, list any) error {
	text, _ := source.Lookup("edge", name)
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), list); err != nil {
		return fmt.Errorf("config edge.%s: write a list of %s: %w", name, kind, err)
	}
	return nil
}

// edgeNumber reads one of them that is a number; one that is not set stays 0.
func edgeNumber(source config.Source, name string, number *uint64) (err error) {
	text, _ := source.Lookup("edge", name)
	if text == "" {
		return nil
	}
	if *number, err = strconv.ParseUint(text, 10, 32); err != nil {
		return fmt.Errorf("config edge.%s: write a number such as 100", name)
	}
	return nil
}
