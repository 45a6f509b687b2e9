package products

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"m3o/internal/db"
	"m3o/internal/shop/products/productsapi"
)

// The bounds of the catalogue: two generations of so many products, none with a longer description.
const (
	keptProducts    = 2000
	keptDescription = 1 << 10 // bytes
)

// catalogue remembers what never changes of products. How many there are of one, and whether it is sold, the store is
// asked each time, so nobody is shown what is not true any more, in whatever process it was changed.
type catalogue struct {
	mu         sync.Mutex
	young, old map[string]productsapi.Product
}

// complete are the listed products, newest first. Those that the catalogue does not have are read, and are as they are a
// moment later than the list: one that was deleted meanwhile is left out.
func (c *catalogue) complete(ctx context.Context, q db.Querier, all []listed) ([]productsapi.Product, error) {
	found, unknown := c.find(all)
	for chunk := range slices.Chunk(unknown, idsPerStatement) {
		read, err := listByID(ctx, q, chunk)
		if err != nil {
			return nil, fmt.Errorf("read what is listed: %w", err)
		}
		c.keep(read)
		found = append(found, read...)
	}
	slices.SortFunc(found, func(a, b productsapi.Product) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(b.ID, a.ID))
	})
	return found, nil
}

// find are the listed products that are known, and the ids of the others.
func (c *catalogue) find(all []listed) (found []productsapi.Product, unknown []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found = make([]productsapi.Product, 0, len(all))
	for _, one := range all {
		p, known := c.get(one.id)
		if !known {
			unknown = append(unknown, one.id)
			continue
		}
		p.Stock = one.stock
		found = append(found, p)
	}
	return found, unknown
}

// get is called with mu held, as add is.
func (c *catalogue) get(productID string) (p productsapi.Product, known bool) {
	if p, known = c.young[productID]; known {
		return p, true
	}
	if p, known = c.old[productID]; known {
		c.add(p)
	}
	return p, known
}

func (c *catalogue) keep(all []productsapi.Product) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range all {
		if len(p.Description) <= keptDescription {
			c.add(p)
		}
	}
}

// add puts a product among the young. When they are many they become the old, and those are forgotten that were not
// listed since.
func (c *catalogue) add(p productsapi.Product) {
	if len(c.young) >= keptProducts {
		c.old, c.young = c.young, nil
	}
	if c.young == nil {
		c.young = make(map[string]productsapi.Product)
	}
	c.young[p.ID] = p
}
