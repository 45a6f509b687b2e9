package app

import (
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/balance"
	"m3o/internal/balance/balanceapi"
	"m3o/internal/billing"
	"m3o/internal/billing/billingapi"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/configurator"
	"m3o/internal/configurator/configuratorapi"
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
	"m3o/internal/limit"
	"m3o/internal/publicapi"
	"m3o/internal/publicapi/publicapiapi"
	"m3o/internal/rpc"
	"m3o/internal/shop/graph"
	"m3o/internal/shop/graph/graphapi"
	"m3o/internal/shop/orders"
	"m3o/internal/shop/orders/ordersapi"
	"m3o/internal/shop/products"
	"m3o/internal/shop/products/productsapi"
	"m3o/internal/shop/users"
	"m3o/internal/shop/users/usersapi"
	"m3o/internal/ticker"
	"m3o/internal/usage"
	"m3o/internal/usage/usageapi"
	"m3o/internal/web"
	customerfacts "m3o/pkg/events/proto/customers"
	orderfacts "m3o/pkg/events/proto/orders"
	productfacts "m3o/pkg/events/proto/products"
	catalogfacts "m3o/pkg/events/proto/publicapi"
	requestfacts "m3o/pkg/events/proto/requests"
	userfacts "m3o/pkg/events/proto/users"
)

// parts is what services are made of.
type parts struct {
	db      *db.DB
	bus     bus.Bus
	outbox  *outbox.Outbox
	config  config.Source
	reload  func() error // reads the config file anew
	metrics prometheus.Registerer
	log     *slog.Logger
	now     func() time.Time
	data    string // the data directory
	secret  []byte // seals credentials
	sync    gateway.Sync
	runs    func(host string) bool // which services this process runs; the others are made to be looked at only
	split   bool                   // other processes run services, too
	limits  *limit.Shared          // the rates that gateways share; nil: they share none
}

// revalidateEvery is how often gateways ask what has changed, so that half a second after
// a change none goes by what was before, even if it was not told.
const revalidateEvery = 500 * time.Millisecond

// revalidate is how often the gateway does so: in a single process it hears of every change.
func (p *parts) revalidate() time.Duration {
	if p.split {
		return revalidateEvery
	}
	return 0
}

// house is every service, built. A contract in it is the service itself where this
// process runs it, else a client of it.
type house struct {
	source    config.Source // of all their configuration
	runs      func(host string) bool
	customers customersapi.Service
	keys      keysapi.Service
	balance   balanceapi.Service
	publicapi publicapiapi.Service
	users     usersapi.Service
	products  productsapi.Service
	orders    ordersapi.Service
	ledger    *balance.Service // for its configuration
	gateway   *gateway.Service // for its configuration, and to serve where it runs here
	edge      edgeSettings
	members   []member // in the order in which they are built
}

// member is a service as app handles it.
type member struct {
	Member
	service  service
	document []byte // its functions in OpenAPI
	here     bool   // this process runs it
}

// Member is a service of the house.
type Member struct {
	Host      string
	Functions []rpc.Function
	Calls     []string // hosts of the services that it was given
	Fires     []string // its events, such as on-keys-changed
	States    []string // durable topics on which it states facts
	Stateless bool     // keeps nothing in the database
}

// service is what every service can do, by its generated code.
type service interface {
	Register(b bus.Bus) (stop func())
	Tickers() []ticker.Ticker
	Published() *rpc.Publication
}

// at is a contract as others are given it: the service itself where this process runs
// it, else a client of it.
func at[S any](h *house, host string, here, there S) S {
	if h.runs(host) {
		return here
	}
	return there
}

// build makes the services from top to bottom: each is given only what stands
// above it. It makes all of them, also those that run elsewhere, since what is for
// sale, what can be configured and who hears what is the same in every process.
func build(p parts) (*house, error) {
	h := &house{source: p.config, runs: p.runs}

	values, err := configurator.New(configurator.Deps{DB: p.db, Bus: p.bus, Metrics: p.metrics, Now: p.now, Check: h.checkValue, Reload: p.reload})
	if err != nil {
		return nil, err
	}
	h.add(Member{Host: configuratorapi.Host, Functions: configuratorapi.Functions(), Fires: fires[configuratorapi.MulticastTrigger]()}, values, configuratorapi.OpenAPI())
	h.source = config.Layers(p.config, configurator.NewSource(at[configuratorapi.Service](h, configuratorapi.Host, values, configuratorapi.NewClient(p.bus))))

	mails, err := emails.New(emails.Deps{DB: p.db, Config: h.source, Metrics: p.metrics, Log: p.log, Now: p.now})
	if err != nil {
		return nil, err
	}
	h.add(Member{Host: emailsapi.Host, Functions: emailsapi.Functions()}, mails, emailsapi.OpenAPI())

	accounts, err := customers.New(customers.Deps{
		DB: p.db, Bus: p.bus, Outbox: p.outbox, Config: h.source, Metrics: p.metrics, Log: p.log, Now: p.now,
		Emails: at[emailsapi.Service](h, emailsapi.Host, mails, emailsapi.NewClient(p.bus)),
	})
	if err != nil {
		return nil, err
	}
	h.add(Member{
		Host: customersapi.Host, Functions: customersapi.Functions(), Calls: []string{emailsapi.Host},
		Fires: fires[customersapi.MulticastTrigger](), States: []string{customerfacts.Topic},
	}, accounts, customersapi.OpenAPI())
	h.customers = at[customersapi.Service](h, customersapi.Host, accounts, customersapi.NewClient(p.bus))

	tiers, err := billing.New(billing.Deps{
		DB: p.db, Bus: p.bus, Outbox: p.outbox, Config: h.source, Metrics: p.metrics, Log: p.log, Now: p.now, Customers: h.customers,
	})
	if err != nil {
		return nil, err
	}
	h.add(Member{
		Host: billingapi.Host, Functions: billingapi.Functions(), Calls: []string{customersapi.Host},
		Fires: fires[billingapi.MulticastTrigger](), States: []string{customerfacts.Topic},
	}, tiers, billingapi.OpenAPI())
	subscriptions := at[billingapi.Service](h, billingapi.Host, tiers, billingapi.NewClient(p.bus))

	records, err := usage.New(usage.Deps{
		DB: p.db, Bus: p.bus, Outbox: p.outbox, Config: h.source, Metrics: p.metrics, Log: p.log, Now: p.now, Billing: subscriptions,
		Durable: p.split || p.sync == gateway.SyncInterval || p.sync == gateway.SyncAlways,
	})
	if err != nil {
		return nil, err
	}
	h.add(Member{
		Host: usageapi.Host, Functions: usageapi.Functions(), Calls: []string{billingapi.Host},
		Fires: fires[usageapi.MulticastTrigger](), States: []string{requestfacts.Topic},
	}, records, usageapi.OpenAPI())
	counters := at[usageapi.Service](h, usageapi.Host, records, usageapi.NewClient(p.bus))

	ledger, err := balance.New(balance.Deps{
		DB: p.db, Bus: p.bus, Outbox: p.outbox, Config: h.source, Metrics: p.metrics, Log: p.log, Now: p.now, Customers: h.customers, Usage: counters,
	})
	if err != nil {
		return nil, err
	}
	h.add(Member{
		Host: balanceapi.Host, Functions: balanceapi.Functions(), Calls: []string{customersapi.Host, usageapi.Host},
		Fires: fires[balanceapi.MulticastTrigger](), States: []string{customerfacts.Topic},
	}, ledger, balanceapi.OpenAPI())
	h.ledger, h.balance = ledger, at[balanceapi.Service](h, balanceapi.Host, ledger, balanceapi.NewClient(p.bus))

	hello, err := helloworld.New(helloworld.Deps{Config: h.source, Metrics: p.metrics})
	if err != nil {
		return nil, err
	}
	h.add(Member{Host: helloworldapi.Host, Functions: helloworldapi.Functions(), Stateless: true}, hello, helloworldapi.OpenAPI())

	buyers, err := users.New(users.Deps{
		DB: p.db, Bus: p.bus, Outbox: p.outbox, Config: h.source, Metrics: p.metrics, Log: p.log, Now: p.now, Secret: p.secret,
	})
	if err != nil {
		return nil, err
	}
	h.add(Member{
		Host: usersapi.Host, Functions: usersapi.Functions(),
		Fires: fires[usersapi.MulticastTrigger](), States: []string{userfacts.Topic},
	}, buyers, usersapi.OpenAPI())
	h.users = at[usersapi.Service](h, usersapi.Host, buyers, usersapi.NewClient(p.bus))

	goods, err := products.New(products.Deps{DB: p.db, Outbox: p.outbox, Config: h.source, Metrics: p.metrics, Now: p.now, Durable: p.split})
	if err != nil {
		return nil, err
	}
	h.add(Member{Host: productsapi.Host, Functions: productsapi.Functions(), States: []string{productfacts.Topic}}, goods, productsapi.OpenAPI())
	h.products = at[productsapi.Service](h, productsapi.Host, goods, productsapi.NewClient(p.bus))

	placed, err := orders.New(orders.Deps{
		DB: p.db, Outbox: p.outbox, Config: h.source, Metrics: p.metrics, Log: p.log, Now: p.now,
		Products: h.products,
	})
	if err != nil {
		return nil, err
	}
	h.add(Member{
		Host: ordersapi.Host, Functions: ordersapi.Functions(), Calls: []string{productsapi.Host}, States: []string{orderfacts.Topic},
	}, placed, ordersapi.OpenAPI())
	h.orders = at[ordersapi.Service](h, ordersapi.Host, placed, ordersapi.NewClient(p.bus))

	shop, err := graph.New(graph.Deps{
		Bus: p.bus, Config: h.source, Metrics: p.metrics, Log: p.log, Now: p.now, Customers: h.customers,
		Users: h.users, Products: h.products, Orders: h.orders,
	})
	if err != nil {
		return nil, err
	}
	h.add(Member{
		Host: graphapi.Host, Functions: graphapi.Functions(), Calls: []string{customersapi.Host, usersapi.Host, productsapi.Host, ordersapi.Host},
		Fires: fires[graphapi.MulticastTrigger](), Stateless: true,
	}, shop, graphapi.OpenAPI())

	apis, err := publicapi.New(publicapi.Deps{
		DB: p.db, Bus: p.bus, Outbox: p.outbox, Config: h.source, Metrics: p.metrics, Log: p.log, Now: p.now,
		Compiled: h.compiled(publicapiapi.Functions(), keysapi.Functions(), eventsapi.Functions()),
		Secret:   p.secret, Reachable: func(a netip.Addr) bool { return h.gateway.MayCall(a) }, // the gateway is built later, and asked later still
	})
	if err != nil {
		return nil, err
	}
	h.add(Member{
		Host: publicapiapi.Host, Functions: publicapiapi.Functions(),
		Fires: fires[publicapiapi.MulticastTrigger](), States: []string{catalogfacts.Topic},
	}, apis, publicapiapi.OpenAPI())
	h.publicapi = at[publicapiapi.Service](h, publicapiapi.Host, apis, publicapiapi.NewClient(p.bus))

	credentials, err := keys.New(keys.Deps{
		DB: p.db, Bus: p.bus, Outbox: p.outbox, Config: h.source, Metrics: p.metrics, Log: p.log, Now: p.now, Customers: h.customers, PublicAPI: h.publicapi,
	})
	if err != nil {
		return nil, err
	}
	h.add(Member{
		Host: keysapi.Host, Functions: keysapi.Functions(), Calls: []string{customersapi.Host, publicapiapi.Host},
		Fires: fires[keysapi.MulticastTrigger](), States: []string{customerfacts.Topic},
	}, credentials, keysapi.OpenAPI())
	h.keys = at[keysapi.Service](h, keysapi.Host, credentials, keysapi.NewClient(p.bus))

	facts, err := events.New(events.Deps{DB: p.db, Outbox: p.outbox, Config: h.source, Metrics: p.metrics, Now: p.now})
	if err != nil {
		return nil, err
	}
	h.add(Member{Host: eventsapi.Host, Functions: eventsapi.Functions()}, facts, eventsapi.OpenAPI())

	door, err := gateway.New(gateway.Deps{
		Bus: p.bus, Config: h.source, Metrics: p.metrics, Log: p.log, Now: p.now, Secret: p.secret, Journal: filepath.Join(p.data, "journal"), Sync: p.sync, Caller: web.Caller,
		Keys: h.keys, PublicAPI: h.publicapi, Usage: counters, Balance: h.balance, Billing: subscriptions, Limits: p.limits, Revalidate: p.revalidate(),
	})
	if err != nil {
		return nil, err
	}
	h.add(Member{Host: gateway.Host, Calls: []string{
		customersapi.Host, // which the edge asks who is logged in
		keysapi.Host, publicapiapi.Host, usageapi.Host, balanceapi.Host, billingapi.Host,
	}, Stateless: true}, door, nil)
	h.gateway = door
	return h, nil
}

// configurations are those of the services that have one.
func (h *house) configurations() (sets []*config.Set) {
	for _, m := range h.members {
		if set := configuration(m.service); set != nil {
			sets = append(sets, set)
		}
	}
	return sets
}

// configuration is that of a service, nil when it has none.
func configuration(s service) *config.Set {
	c, ok := s.(interface {
		Configured() (*config.Set, config.Callbacks)
	})
	if !ok {
		return nil
	}
	set, _ := c.Configured()
	return set
}

// checkValue says why a value cannot be set for a property of the services.
func (h *house) checkValue(host, property, value string) error {
	return configurator.Check(h.configurations()...)(host, property, value)
}

// notAllowed is what the operator has set and no service may take. A service would run
// with its default; an operator who has just written a value wants to know.
func (h *house) notAllowed() error {
	var all []error
	for _, set := range h.configurations() {
		all = append(all, set.Warnings()...)
	}
	return errors.Join(all...)
}

// add takes a service into the house. One that has a configuration asks the configurator
// for it.
func (h *house) add(m Member, s service, document []byte) {
	if configuration(s) != nil {
		m.Calls = append([]string{configuratorapi.Host}, m.Calls...)
	}
	h.members = append(h.members, member{m, s, document, h.runs(m.Host)})
}

// compiled is which hosts of this program are for sale; nil: not, ever. The services
// that are built later are never for sale.
func (h *house) compiled(later ...[]rpc.Function) map[string]*rpc.Publication {
	hosts := map[string]*rpc.Publication{gateway.Host: nil}
	for _, f := range slices.Concat(later...) {
		hosts[f.Host] = nil
	}
	for _, m := range h.members {
		for _, f := range m.Functions {
			hosts[f.Host] = nil
		}
	}
	for _, m := range h.members {
		if p := m.service.Published(); p != nil {
			hosts[m.Host] = p
		}
	}
	return hosts
}

// functions are all that the edge must know of: what it serves, and what must not be
// reached by way of that.
func (h *house) functions() (all []rpc.Function) {
	for _, m := range h.members {
		all = append(all, m.Functions...)
		if m.document != nil {
			all = append(all, rpc.Documented(m.Host))
		}
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
