package publicapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
	"m3o/internal/helloworld/helloworldapi"
	"m3o/internal/money"
	"m3o/internal/publicapi"
	"m3o/internal/publicapi/publicapiapi"
	"m3o/internal/rpc"
	"m3o/internal/rpc/rpctest"
	topic "m3o/pkg/events/proto/publicapi"
)

// house is a catalogue with its neighbours.
type house struct {
	t      *testing.T
	db     *db.DB
	bus    *bus.Memory
	outbox *outbox.Outbox
	log    *slog.Logger

	secret  []byte // of the services that are made next
	former  [][]byte
	refused []netip.Prefix // networks in which the gateway would call nobody

	mu      sync.Mutex
	now     time.Time
	changes int   // how often the catalogue was said to have changed
	deaf    error // what whoever listens to changes answers
}

// each runs body on both engines, directly and over loopback.
func each(t *testing.T, body func(t *testing.T, s publicapiapi.Service, h *house)) {
	t.Helper()
	t.Parallel()
	contract := rpctest.Contract[publicapiapi.Service]{Routes: publicapiapi.Routes, Client: func(b bus.Bus) publicapiapi.Service { return publicapiapi.NewClient(b) }}
	for name, open := range map[string]func(testing.TB) *db.DB{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rpctest.Each(t, contract, func(t *testing.T) (publicapiapi.Service, *house) {
				h := newHouse(t, open(t))
				return h.service(compiled()), h
			}, body)
		})
	}
}

// quick is a catalogue on SQLite, for rules that no engine has a part in.
func quick(t *testing.T) (publicapiapi.Service, *house) {
	t.Helper()
	t.Parallel()
	h := newHouse(t, dbtest.SQLite(t))
	return h.service(compiled()), h
}

func newHouse(t *testing.T, d *db.DB) *house {
	log := slog.New(slog.DiscardHandler)
	h := &house{t: t, db: d, log: log, secret: bytes.Repeat([]byte{7}, 32), now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	h.bus = bus.NewMemory(bus.MemoryConfig{Logger: log})
	h.outbox = outbox.New(d, h.clock, log)
	t.Cleanup(publicapiapi.NewHook(h.bus, "rep_test", "test").OnCatalogueChanged(func(context.Context) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.changes++
		return h.deaf
	}))
	return h
}

// service is a process that has these services compiled in.
func (h *house) service(compiled map[string]*rpc.Publication) *publicapi.Service {
	h.t.Helper()
	s, err := publicapi.New(publicapi.Deps{
		DB: h.db, Bus: h.bus, Outbox: h.outbox, Log: h.log, Now: h.clock, Compiled: compiled,
		Secret: h.secret, Former: h.former, Reachable: func(a netip.Addr) bool {
			return !slices.ContainsFunc(h.refused, func(p netip.Prefix) bool { return p.Contains(a) })
		},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// compiled is helloworld, which is for sale, and the ledger, which is not.
func compiled() map[string]*rpc.Publication {
	return map[string]*rpc.Publication{"helloworld": helloworld(10), "balance": nil}
}

func helloworld(price money.Micros) *rpc.Publication {
	return &rpc.Publication{
		Name: "helloworld", DisplayName: "Hello World", Description: "Greets", Category: "utility", Icon: "👋",
		Prices: map[string]money.Micros{"Call": price}, Quotas: map[string]int64{"Stream": 5},
		Examples:  `{"call":[{"title":"John","request":{"name":"John"},"response":{"message":"Hello John"}}]}`,
		OpenAPI:   helloworldapi.PublishedOpenAPI(),
		Functions: helloworldapi.Published(),
	}
}

func (h *house) clock() time.Time { return h.now }

// told forgets and returns how often the catalogue was said to have changed.
func (h *house) told() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.changes
	h.changes = 0
	return n
}

func (h *house) setDeaf(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deaf = err
}

func (h *house) admin() context.Context {
	return auth.With(h.t.Context(), auth.Account{ID: "cus_admin", Type: auth.TypeAdmin})
}

func (h *house) customer() context.Context {
	return auth.With(h.t.Context(), auth.Account{ID: "cus_1", Type: auth.TypeCustomer})
}

func (h *house) publish(s publicapiapi.Service, api publicapiapi.API) {
	h.t.Helper()
	if err := s.Publish(h.admin(), api); err != nil {
		h.t.Fatal(err)
	}
}

// route is an API as the gateway sees it, false when it is not on sale.
func (h *house) route(s publicapiapi.Service, name string) (publicapiapi.Route, bool) {
	h.t.Helper()
	c, err := s.Snapshot(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range c.APIs {
		if r.Name == name {
			return r, true
		}
	}
	return publicapiapi.Route{}, false
}

// endpoint is an endpoint on sale, the zero one when there is none of that name.
func (h *house) endpoint(s publicapiapi.Service, api, name string) publicapiapi.EndpointRoute {
	h.t.Helper()
	route, _ := h.route(s, api)
	for _, e := range route.Endpoints {
		if e.Name == name {
			return e
		}
	}
	return publicapiapi.EndpointRoute{}
}

// facts are what was stated about an API, oldest first.
func (h *house) facts(name string) (types []string) {
	h.t.Helper()
	records, _, err := h.outbox.List(h.t.Context(), topic.Topic, 1000, "")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range records {
		if r.Event.Key == name && strings.Contains(string(r.Event.Data), `"name":"`+name+`"`) {
			types = append([]string{r.Event.TypeName}, types...)
		}
	}
	return types
}

// weather is an API at an HTTP server.
func weather() publicapiapi.API {
	return publicapiapi.API{
		Name: "weather", DisplayName: "Weather", Description: "Forecasts by place", Category: "climate",
		OpenAPIJSON: weatherDocument("3.0.3", ""), Target: "https://weather.example.com/api",
		Pricing: map[string]publicapiapi.Amount{"Weather.Forecast": 100},
		Quotas:  map[string]publicapiapi.Amount{"now": 20},
	}
}

// weatherDocument has the endpoints Weather.Forecast (by its operationId) and
// Weather.Now (by its path); more goes into the second operation.
func weatherDocument(version, more string) string {
	return `{"openapi":"` + version + `","info":{"title":"weather","version":"1"},
	"components":{"schemas":{
		"Place":{"type":"object","properties":{"postcode":{"type":"string"},"days":{"type":"integer"}},"required":["postcode"]},
		"Units":{"type":"object","properties":{"metric":{"type":"boolean"}}}}},
	"paths":{
		"/weather/Weather/forecast-of":{"post":{"operationId":"Weather.Forecast","summary":"Forecast",
			"requestBody":{"content":{"application/json":{"schema":{"allOf":[{"$ref":"#/components/schemas/Place"},{"$ref":"#/components/schemas/Units"}]}}}},
			"responses":{"200":{"description":"OK"}}}},
		"/weather/now":{"get":{"responses":{"200":{"description":"OK"}}},"post":{` + more + `
			"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Place"}}}},
			"responses":{"200":{"description":"OK"}}}},
		"/weather/{place}":{"post":{"parameters":[{"name":"place","in":"path","required":true,"schema":{"type":"string"}}],"responses":{"200":{"description":"OK"}}}}}}`
}

func wantFault(t *testing.T, err error, code fault.Code, field string) {
	t.Helper()
	f := fault.From(err)
	if err == nil || f.Code != code || (field != "" && (len(f.Fields) != 1 || f.Fields[0].Name != field)) {
		t.Errorf("got %v %+v; want %s about %q", err, f.Fields, code, field)
	}
}

// same is equality of what two values say.
func same(t *testing.T, a, b any) bool {
	t.Helper()
	x, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(x) == string(y)
}
