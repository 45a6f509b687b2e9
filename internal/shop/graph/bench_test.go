package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"m3o/internal/bus"
	"m3o/internal/shop/graph"
	"m3o/internal/shop/orders/ordersapi"
	"m3o/internal/shop/products/productsapi"
	"m3o/internal/shop/users/usersapi"
)

// goods sells twenty products that cost nothing to read.
type goods struct {
	productsapi.Unassigned
	all []productsapi.Product
}

func (g goods) GetProducts(context.Context, string, int, string) ([]productsapi.Product, string, error) {
	return g.all, "", nil
}

func (g goods) GetProduct(context.Context, string) (productsapi.Product, error) { return g.all[0], nil }

type placer struct{ ordersapi.Unassigned }

func (placer) PlaceOrder(context.Context, []ordersapi.OrderLine, string) (ordersapi.Order, error) {
	return order("ord_1"), nil
}

type everybody struct{ usersapi.Unassigned }

func (everybody) Authenticate(context.Context, string) (usersapi.ShopAccount, error) {
	return usersapi.ShopAccount{ID: "usr_1"}, nil
}

// BenchmarkServe is what GraphQL adds to the services: reading, checking, executing and writing an operation.
func BenchmarkServe(b *testing.B) {
	var g goods
	for i := range 20 {
		g.all = append(g.all, product(fmt.Sprint("prd_06gvt8tjodpnjagdpg4gdjo2", i)))
	}
	log := slog.New(slog.DiscardHandler)
	s, err := graph.New(graph.Deps{
		Bus: bus.NewMemory(bus.MemoryConfig{Logger: log}), Log: log, Now: time.Now, Users: everybody{}, Products: g, Orders: placer{},
	})
	if err != nil {
		b.Fatal(err)
	}
	for name, asked := range map[string]map[string]any{
		"Page":    {"query": `query Page { products(first: 20) { id name description price stock } }`},
		"Product": {"query": `query One($id: ID!) { product(id: $id) { id name description price stock } }`, "variables": map[string]any{"id": "prd_1"}},
		"Order": {
			"query":     `mutation Place($id: ID!) { placeOrder(input: {order_products: [{product_id: $id, quantity: 1}]}) { id user_id quantity price_total order_products { product_id price quantity } } }`,
			"variables": map[string]any{"id": "prd_1"},
		},
	} {
		body, err := json.Marshal(asked)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/", bytes.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Authorization", userToken)
				w := httptest.NewRecorder()
				if err := s.Graphql(w, r); err != nil || w.Code != http.StatusOK || bytes.Contains(w.Body.Bytes(), []byte("errors")) {
					b.Fatal(err, w.Code, w.Body)
				}
				_, _ = io.Copy(io.Discard, w.Body)
			}
		})
	}
}
