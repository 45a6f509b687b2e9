package test

import (
	"net/http"
	"testing"

	"m3o/internal/app/apptest"
)

// product is a product of the shop as the catalogue's API answers it.
type product struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Price int    `json:"price"`
	Stock int    `json:"stock"`
}

// What the shop sells can be read by whoever pays for it, like any other API.
func TestTheShopsProductsAreOnSale(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t)
	lamp := addProduct(t, s, "Lamp", 25, 4)
	customer := s.SignUp("buyer@example.com")
	key, _ := s.Key(customer.Token, "products")
	s.Must("/billing/subscribe-tier", s.AdminToken(), map[string]string{"id": "business", "customer_id": customer.CustomerID}, nil)

	for _, endpoint := range []string{"products/GetProducts", "products/getproducts"} {
		var list struct {
			Products []product `json:"products"`
		}
		a := s.Call(key, endpoint, map[string]any{"search": "lamp"})
		if a.Into(t, &list); a.Status != http.StatusOK || len(list.Products) != 1 || list.Products[0] != lamp || a.Header.Get("M3O-Price") != "10" {
			t.Errorf("%s: %d %s, price %s", endpoint, a.Status, a.Body, a.Header.Get("M3O-Price"))
		}
	}
	var one struct{ Product product }
	a := s.Do(http.MethodGet, "/v1/products/GetProduct?id="+lamp.ID, key, nil)
	if a.Into(t, &one); a.Status != http.StatusOK || one.Product != lamp || a.Header.Get("M3O-Price") != "10" {
		t.Errorf("%d %s, price %s", a.Status, a.Body, a.Header.Get("M3O-Price"))
	}
	if a := s.Call(key, "products/GetProduct", map[string]string{"id": "prd_none"}); a.Status != http.StatusNotFound || a.Header.Get("M3O-Price") != "" {
		t.Errorf("a product that is not there: %d %s, price %s", a.Status, a.Body, a.Header.Get("M3O-Price"))
	}
	if a := s.Call(key, "products/AddProduct", map[string]any{"name": "x", "price": 1, "stock": 1}); a.Status != http.StatusNotFound {
		t.Errorf("what is not on sale: %d %s", a.Status, a.Body)
	}
	for _, inside := range []string{"/products/reserve", "/products/add-product", "/products/get-products", "/orders/place-order"} {
		if a := s.Post(inside, s.AdminToken(), map[string]any{}); a.Status != http.StatusNotFound {
			t.Errorf("%s: %d %s, want it unreachable", inside, a.Status, a.Body)
		}
	}
	if n := len(s.Recorded(customer.Token)); n != 3 {
		t.Errorf("%d calls were recorded, want 3", n)
	}
}

// addProduct puts a product on sale as an admin does.
func addProduct(t *testing.T, s *apptest.System, name string, price, stock int) product {
	t.Helper()
	const mutation = `mutation($input: CreateProduct!) { createProduct(input: $input) { id name price stock } }`
	var answer struct {
		Data struct{ CreateProduct product }
	}
	s.Must("/graphql", s.AdminToken(), map[string]any{
		"query": mutation, "variables": map[string]any{"input": map[string]any{"name": name, "description": "", "price": price, "stock": stock}},
	}, &answer)
	if answer.Data.CreateProduct.ID == "" {
		t.Fatalf("%s was not put on sale", name)
	}
	return answer.Data.CreateProduct
}
