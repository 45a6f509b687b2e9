package productsapi

import (
	"time"

	"m3o/internal/fault"
)

// Max is the most that a price, a stock, a quantity or a sum of them may be: GraphQL's Int has 32 bits.
const Max = 1<<31 - 1

// The kinds of UpdateInventory.
const (
	Add      = 1
	Subtract = 2
	Delete   = 3
)

// Product is what the shop sells.
type Product struct {
	ID          string    `json:"id"` // prd_…
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Price       int       `json:"price"` // of one
	Stock       int       `json:"stock"` // what can be ordered; reserved and sold ones are not in it
	CreatedAt   time.Time `json:"created_at"`
}

// ReserveLine asks for some of a product.
type ReserveLine struct {
	ProductID string `json:"product_id"`
	Quantity  int    `json:"quantity"`
}

// ReservedLine is what an order holds of a product.
type ReservedLine struct {
	ProductID string `json:"product_id"`
	Name      string `json:"name"`
	Price     int    `json:"price"` // of one, when it was reserved
	Quantity  int    `json:"quantity"`
}

// Reservation is stock that waits for its order to be placed or rejected.
type Reservation struct {
	OrderID   string         `json:"order_id"`
	Holder    string         `json:"holder"` // who orders
	Lines     []ReservedLine `json:"lines"`
	CreatedAt time.Time      `json:"created_at"`
}

// The ids of this service's faults that callers tell apart, also over the bus.
const (
	idOutOfStock = "products.out_of_stock"
	idReleased   = "products.released"
)

// NewOutOfStock is the fault of a product of which there is less than wanted.
func NewOutOfStock(productID, name string) *fault.Error {
	return fault.New(fault.Conflict, "product: %s with id: %s is out of stock", name, productID).
		WithID(idOutOfStock).With("reason", "OUT_OF_STOCK").With("product_id", productID)
}

// OutOfStock says whether err is that of NewOutOfStock, wherever it was made.
func OutOfStock(err error) bool { return hasID(err, idOutOfStock) }

// NewReleased is the fault of an order whose reservation was given back: it cannot be had again.
func NewReleased(orderID string) *fault.Error {
	return fault.New(fault.Conflict, "the reservation of order %s was released: order again", orderID).WithID(idReleased)
}

// Released says whether err is that of NewReleased, wherever it was made.
func Released(err error) bool { return hasID(err, idReleased) }

func hasID(err error, id string) bool {
	return fault.Is(err, fault.Conflict) && fault.From(err).ID == id
}
