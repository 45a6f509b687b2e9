package products_test

import (
	"fmt"
	"strings"
	"testing"

	"m3o/internal/db/dbtest"
	"m3o/internal/shop/products"
	"m3o/internal/shop/products/productsapi"
)

// numbered is a product of that number.
func numbered(n int) productsapi.Product {
	return productsapi.Product{ID: fmt.Sprint("prd_", n), Name: fmt.Sprint("Lamp ", n)}
}

func TestTheCatalogueForgetsWhatNobodyLists(t *testing.T) {
	t.Parallel()
	var c products.Catalogue
	for n := range 5 * products.KeptProducts {
		c.Keep(numbered(n))
		if p, known := c.Find("prd_0", n); !known || p.Name != "Lamp 0" || p.Stock != n {
			t.Fatalf("after %d others prd_0 is %+v, %v", n, p, known)
		}
	}
	if _, known := c.Find("prd_1", 1); known {
		t.Error("prd_1 was not forgotten")
	}
	if n := c.Size(); n > 2*products.KeptProducts {
		t.Errorf("%d are remembered", n)
	}
	long := numbered(-1)
	long.Description = strings.Repeat("x", products.KeptDescription+1)
	c.Keep(long)
	if _, known := c.Find(long.ID, 1); known {
		t.Error("a long description was remembered")
	}
}

// BenchmarkGetProducts reads the first page of twenty, of a hundred.
func BenchmarkGetProducts(b *testing.B) {
	h := newHouse(b, dbtest.SQLite(b))
	for n := range 100 {
		sells(b, h.products, fmt.Sprint("product ", n), 3, 10)
	}
	b.ReportAllocs()
	for b.Loop() {
		if found, _, err := h.products.GetProducts(b.Context(), "", 20, ""); err != nil || len(found) != 20 {
			b.Fatal(len(found), err)
		}
	}
}
