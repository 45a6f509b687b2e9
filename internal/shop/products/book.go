package products

import (
	"time"

	"m3o/internal/fault"
	"m3o/internal/shop/products/productsapi"
)

// The states of a reservation.
const (
	reserved = "reserved" // taken from stock, for an order that is not placed yet
	sold     = "sold"     // for good
	released = "released" // in stock again, for good; also an order that never held anything
)

// change is one wish of an order.
type change struct {
	to      string // the state that it wishes
	orderID string
	holder  string                    // of a reservation
	lines   []productsapi.ReserveLine // of a reservation
}

// shelf is what is known of a product, and what a set of changes does to it.
type shelf struct {
	id, name string
	price    int64
	stock    int64 // as the changes so far leave it
	deleted  bool

	seen     int64 // the stock that was read
	least    int64 // the least that the stock has been
	reserved int64 // by how much that changes
	sold     int64 // by how much that changes
	changes  int64 // of the stock
}

// need is how much of the stock that was read the changes rely on; 0: on none.
func (p *shelf) need() int64 { return p.seen - p.least }

// reservation is what an order holds or held.
type reservation struct {
	orderID   string
	holder    string
	lines     []productsapi.ReservedLine
	state     string
	stored    string // the state in the store; empty: it is not there
	createdAt time.Time
}

// book decides a set of changes in memory, in the order in which they came. It holds the products and reservations
// that they are about, read in the transaction that will write what has become of them.
type book struct {
	products     map[string]*shelf
	reservations map[string]*reservation
	now          time.Time
}

// apply makes one change, or says why not; then it has changed nothing. A change to the state that is there already
// changes nothing either, and answers the same.
func (b *book) apply(c change) ([]productsapi.ReservedLine, error) {
	switch c.to {
	case reserved:
		return b.reserve(c)
	case sold:
		return nil, b.sell(c)
	}
	return nil, b.release(c)
}

func (b *book) reserve(c change) ([]productsapi.ReservedLine, error) {
	if r := b.reservations[c.orderID]; r != nil {
		if r.state == released {
			return nil, productsapi.NewReleased(c.orderID)
		}
		return r.lines, nil
	}
	lines := make([]productsapi.ReservedLine, len(c.lines))
	total := int64(0)
	for i, line := range c.lines {
		p := b.products[line.ProductID]
		switch quantity := int64(line.Quantity); {
		case p == nil || p.deleted:
			return nil, notFound(line.ProductID)
		case p.stock < quantity:
			return nil, productsapi.NewOutOfStock(p.id, p.name)
		default:
			total += p.price * quantity // which are below 2^31 each, as is the total so far
		}
		if total > productsapi.Max {
			return nil, fault.BadField("order_products", "the price total is more than %d: order less", productsapi.Max)
		}
		lines[i] = productsapi.ReservedLine{ProductID: p.id, Name: p.name, Price: int(p.price), Quantity: line.Quantity}
	}
	for _, line := range lines {
		b.products[line.ProductID].move(-int64(line.Quantity), int64(line.Quantity), 0)
	}
	b.reservations[c.orderID] = &reservation{orderID: c.orderID, holder: c.holder, lines: lines, state: reserved, createdAt: b.now}
	return lines, nil
}

func (b *book) sell(c change) error {
	r := b.reservations[c.orderID]
	switch {
	case r == nil:
		return fault.New(fault.NotFound, "order %s holds nothing", c.orderID)
	case r.state == released:
		return productsapi.NewReleased(c.orderID)
	case r.state == sold:
		return nil
	}
	for _, line := range r.lines {
		b.shelf(line.ProductID).move(0, -int64(line.Quantity), int64(line.Quantity))
	}
	r.state = sold
	return nil
}

func (b *book) release(c change) error {
	r := b.reservations[c.orderID]
	switch {
	case r == nil:
		b.reservations[c.orderID] = &reservation{orderID: c.orderID, lines: []productsapi.ReservedLine{}, state: released, createdAt: b.now}
		return nil
	case r.state == sold:
		return fault.New(fault.Conflict, "what order %s holds is sold", c.orderID)
	case r.state == released:
		return nil
	}
	for _, line := range r.lines {
		b.shelf(line.ProductID).move(int64(line.Quantity), -int64(line.Quantity), 0)
	}
	r.state = released
	return nil
}

// shelf is the product of a reservation. It need not have been read, since nothing is asked of it.
func (b *book) shelf(productID string) *shelf {
	p := b.products[productID]
	if p == nil {
		p = &shelf{id: productID}
		b.products[productID] = p
	}
	return p
}

// move moves units between the stock, what is reserved and what is sold.
func (p *shelf) move(stock, reserved, sold int64) {
	p.stock += stock
	p.least = min(p.least, p.stock)
	p.reserved += reserved
	p.sold += sold
	if stock != 0 {
		p.changes++
	}
}

func notFound(productID string) error {
	return fault.New(fault.NotFound, "product %.64s does not exist", productID)
}
