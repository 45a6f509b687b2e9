package app

import (
	"log/slog"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/balance"
	"m3o/internal/balance/balanceapi"
	"m3o/internal/billing"
	"m3o/internal/billing/billingapi"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/customers"
	"m3o/internal/customers/customersapi"
	"m3o/internal/db"
	"m3o/internal/emails"
	"m3o/internal/emails/emailsapi"
	"m3o/internal/events"
	"m3o/internal/events/eventsapi"
	"m3o/internal/gateway"
	"m3o/internal/helloworld"
	"m3o/internal/helloworld/helloworldapi"
	"m3o/internal/keys"
	"m3o/internal/keys/keysapi"
	"m3o/internal/publicapi"
	"m3o/internal/publicapi/publicapiapi"
	"m3o/internal/rpc"
	"m3o/internal/ticker"
	"m3o/internal/usage"
	"m3o/internal/usage/usageapi"
	"m3o/internal/web"
)

// parts is what services are made of.
type parts struct {
	db      *db.DB
	bus     bus.Bus
	outbox  *outbox.Outbox
	config  config.Source
	metrics prometheus.Registerer
	log     *slog.Logger
	now     func() time.Time
	data    string // the data directory
}

// house is every service, built.
type house struct {
	customers customersapi.Service
	keys      keysapi.Service
	balance   *balance.Service
	publicapi publicapiapi.Service
	gateway   *gateway.Service
	edge      edgeSettings
	members   []member // in the order in which they are built
}

// member is a service as app handles it.
type member struct {
	Member
	service  service
	document []byte // its functions in OpenAPI
}

// Member is a service of the house.
type Member struct {
	Host        string
	Functions   []rpc.Function
	Calls       []string // hosts of the services that it was given
	StatesFacts bool     // on a durable topic
}

// service is what every service can do, by its generated code.
type service interface {
	Register(b bus.Bus) (stop func())
	Tickers() []ticker.Ticker
	Published() *rpc.Publication
}

// build makes the services from top to bottom: each is given only what stands
// above it.
func build(p parts) (*house, error) {
	mails, err := emails.New(emails.Deps{DB: p.db, Config: p.config, Metrics: p.metrics, Log: p.log, Now: p.now})
	if err != nil {
		return nil, err
	}
	accounts, err := customers.New(customers.Deps{
		DB: p.db, Bus: p.bus, Outbox: p.outbox, Config: p.config, Metrics: p.metrics, Log: p.log, Now: p.now, Emails: mails,
	})
	if err != nil {
		return nil, err
	}
	tiers, err := billing.New(billing.Deps{
		DB: p.db, Bus: p.bus, Outbox: p.outbox, Config: p.config, Metrics: p.metrics, Log: p.log, Now: p.now, Customers: accounts,
	})
	if err != nil {
		return nil, err
	}
	records, err := usage.New(usage.Deps{
		DB: p.db, Bus: p.bus, Outbox: p.outbox, Config: p.config, Metrics: p.metrics, Log: p.log, Now: p.now, Billing: tiers,
	})
	if err != nil {
		return nil, err
	}
	ledger, err := balance.New(balance.Deps{
		DB: p.db, Bus: p.bus, Outbox: p.outbox, Config: p.config, Metrics: p.metrics, Log: p.log, Now: p.now, Customers: accounts, Usage: records,
	})
	if err != nil {
		return nil, err
	}
	greeter, err := helloworld.New(helloworld.Deps{Config: p.config, Metrics: p.metrics})
	if err != nil {
		return nil, err
	}
	apis, err := publicapi.New(publicapi.Deps{
		DB: p.db, Bus: p.bus, Outbox: p.outbox, Config: p.config, Metrics: p.metrics, Log: p.log, Now: p.now, Compiled: compiled(greeter),
	})
	if err != nil {
		return nil, err
	}
	credentials, err := keys.New(keys.Deps{
		DB: p.db, Bus: p.bus, Outbox: p.outbox, Config: p.config, Metrics: p.metrics, Log: p.log, Now: p.now, Customers: accounts, PublicAPI: apis,
	})
	if err != nil {
		return nil, err
	}
	facts, err := events.New(events.Deps{DB: p.db, Outbox: p.outbox, Config: p.config, Metrics: p.metrics, Now: p.now})
	if err != nil {
		return nil, err
	}
	door, err := gateway.New(gateway.Deps{
		Bus: p.bus, Config: p.config, Metrics: p.metrics, Log: p.log, Now: p.now, Journal: filepath.Join(p.data, "journal"), Caller: web.Caller,
		Keys: credentials, PublicAPI: apis, Usage: records, Balance: ledger, Billing: tiers,
	})
	if err != nil {
		return nil, err
	}
	h := &house{customers: accounts, keys: credentials, balance: ledger, publicapi: apis, gateway: door}
	h.members = []member{
		{Member{Host: emailsapi.Host, Functions: emailsapi.Functions()}, mails, emailsapi.OpenAPI()},
		{Member{Host: customersapi.Host, Functions: customersapi.Functions(), Calls: []string{emailsapi.Host}, StatesFacts: true}, accounts, customersapi.OpenAPI()},
		{Member{Host: billingapi.Host, Functions: billingapi.Functions(), Calls: []string{customersapi.Host}, StatesFacts: true}, tiers, billingapi.OpenAPI()},
		{Member{Host: usageapi.Host, Functions: usageapi.Functions(), Calls: []string{billingapi.Host}, StatesFacts: true}, records, usageapi.OpenAPI()},
		{Member{Host: balanceapi.Host, Functions: balanceapi.Functions(), Calls: []string{customersapi.Host, usageapi.Host}, StatesFacts: true}, ledger, balanceapi.OpenAPI()},
		{Member{Host: helloworldapi.Host, Functions: helloworldapi.Functions()}, greeter, helloworldapi.OpenAPI()},
		{Member{Host: publicapiapi.Host, Functions: publicapiapi.Functions(), StatesFacts: true}, apis, publicapiapi.OpenAPI()},
		{Member{Host: keysapi.Host, Functions: keysapi.Functions(), Calls: []string{customersapi.Host, publicapiapi.Host}, StatesFacts: true}, credentials, keysapi.OpenAPI()},
		{Member{Host: eventsapi.Host, Functions: eventsapi.Functions()}, facts, eventsapi.OpenAPI()},
		{Member{Host: gateway.Host, Calls: []string{keysapi.Host, publicapiapi.Host, usageapi.Host, balanceapi.Host, billingapi.Host}}, door, nil},
	}
	return h, nil
}

// compiled is which hosts of this program are for sale; nil: not, ever.
func compiled(greeter *helloworld.Service) map[string]*rpc.Publication {
	hosts := map[string]*rpc.Publication{gateway.Host: nil}
	for _, functions := range [][]rpc.Function{
		emailsapi.Functions(), customersapi.Functions(), billingapi.Functions(), usageapi.Functions(), balanceapi.Functions(),
		publicapiapi.Functions(), keysapi.Functions(), eventsapi.Functions(),
	} {
		for _, f := range functions {
			hosts[f.Host] = nil
		}
	}
	hosts[helloworldapi.Host] = greeter.Published()
	return hosts
}

func (h *house) functions() (all []rpc.Function) {
	for _, m := range h.members {
		all = append(all, m.Functions...)
	}
	return all
}

func (h *house) documents() (all [][]byte) {
	for _, m := range h.members {
		if m.document != nil {
			all = append(all, m.document)
		}
	}
	return all
}
