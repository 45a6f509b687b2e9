package products

import "m3o/internal/shop/products/productsapi"

// The bounds of the catalogue.
const (
	KeptProducts    = keptProducts
	KeptDescription = keptDescription
)

// Catalogue is what the service remembers of products.
type Catalogue struct{ catalogue }

// Keep remembers a product.
func (c *Catalogue) Keep(p productsapi.Product) { c.keep([]productsapi.Product{p}) }

// Find is a product that is listed with a stock, if it is known.
func (c *Catalogue) Find(productID string, stock int) (p productsapi.Product, known bool) {
	found, unknown := c.find([]listed{{productID, stock}})
	if len(unknown) > 0 {
		return p, false
	}
	return found[0], true
}

// Size is how many products are remembered, some of them twice.
func (c *Catalogue) Size() int { return len(c.young) + len(c.old) }
