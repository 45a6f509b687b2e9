package graph

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	graphql "github.com/graph-gophers/graphql-go"
	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/bus"
	"m3o/internal/config"
	"m3o/internal/customers/customersapi"
	"m3o/internal/shop/graph/graphapi"
	"m3o/internal/shop/orders/ordersapi"
	"m3o/internal/shop/products/productsapi"
	"m3o/internal/shop/users/usersapi"
)

//go:embed schema.graphql
var schemaText string

// Deps is what graph needs.
type Deps struct {
	Bus       bus.Bus
	Config    config.Source
	Metrics   prometheus.Registerer
	Log       *slog.Logger
	Now       func() time.Time // UTC
	Customers customersapi.Service
	Users     usersapi.Service
	Products  productsapi.Service
	Orders    ordersapi.Service
}

// Service is the shop in GraphQL. It is safe for concurrent use.
type Service struct {
	settings
	log       *slog.Logger
	now       func() time.Time
	customers customersapi.Service
	users     usersapi.Service

	resolver   *resolver
	schema     *graphql.Schema
	shape      shape
	inputs     inputs
	documents  *documents
	buffers    sync.Pool // *bytes.Buffer, of answers
	news       *news
	sockets    sockets
	times      times
	playground playground
}

// New makes the service. An error says that the schema and its resolvers do not belong together.
func New(d Deps) (*Service, error) {
	set, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("make graph: %w", err)
	}
	s := &Service{
		settings: set, log: d.Log, now: d.Now, customers: d.Customers, users: d.Users,
		resolver: &resolver{users: d.Users, products: d.Products, orders: d.Orders},
		buffers:  sync.Pool{New: func() any { return new(bytes.Buffer) }},
	}
	s.schema, err = graphql.ParseSchema(schemaText, s.resolver,
		graphql.UseStringDescriptions(), graphql.UseFieldResolvers(), graphql.DisableFieldSelections(),
		graphql.MaxSelections(maxSelections), graphql.MaxDepth(maxIntrospection+1), graphql.OverlapValidationLimit(10*maxSelections),
		graphql.RestrictIntrospection(func(context.Context) bool { return s.Introspection() }),
		graphql.SubscribeResolverTimeout(s.OperationLimit()),
		graphql.PanicHandler(panics{d.Log}), graphql.Logger(panics{d.Log}),
	)
	if err != nil {
		return nil, fmt.Errorf("make graph: %w", err)
	}
	s.shape, s.inputs = newShape(s.schema.AST()), newInputs(s.schema.AST())
	s.documents = newDocuments(s.schema, surveyor{s.shape, s.inputs}.survey, compiler{s.shape, s.inputs, panics{d.Log}}.compile)
	trigger := graphapi.NewMulticastTrigger(d.Bus)
	s.news = newNews(func(ctx context.Context, gathered graphapi.News) { s.tell(ctx, trigger, gathered) })
	s.sockets = sockets{open: map[*socket]struct{}{}, count: func(open int) { s.ObserveSockets(open) }}
	s.times = usualTimes()
	s.playground, err = newPlayground()
	return s, err
}

// tell has every replica tell its subscriptions.
func (s *Service) tell(ctx context.Context, trigger graphapi.MulticastTrigger, gathered graphapi.News) {
	for answer := range trigger.OnNews(ctx, gathered).All() {
		if answer.Err != nil {
			s.log.WarnContext(ctx, "a replica has not told its subscriptions what happened", "replica", answer.Replica, "error", answer.Err)
		}
	}
}

// OnStartup begins to pass on what happens.
func (s *Service) OnStartup(ctx context.Context) error {
	s.news.start(ctx)
	return nil
}

// OnShutdown closes the WebSockets.
func (s *Service) OnShutdown(context.Context) error {
	s.sockets.stop()
	s.news.shut()
	return nil
}

// Graphql executes an operation, or opens a WebSocket.
func (s *Service) Graphql(w http.ResponseWriter, r *http.Request) (err error) {
	if isUpgrade(r) {
		return s.serveSocket(w, r)
	}
	s.serve(w, r)
	return nil
}

// Query is Graphql under another name.
func (s *Service) Query(w http.ResponseWriter, r *http.Request) (err error) { return s.Graphql(w, r) }
