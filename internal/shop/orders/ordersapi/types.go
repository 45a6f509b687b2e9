package ordersapi

import "time"

// The states of an order.
const (
	Pending  = "pending"  // its products are reserved; no call answers with such an order
	Placed   = "placed"   // it is there, for good
	Rejected = "rejected" // it came to nothing, for good, and holds nothing
)

// OrderLine asks for some of a product.
type OrderLine struct {
	ProductID string `json:"product_id"`
	Quantity  int    `json:"quantity"`
}

// Order is an order as its user sees it.
type Order struct {
	ID         string         `json:"id"` // ord_…
	UserID     string         `json:"user_id"`
	Status     string         `json:"status"`      // placed or rejected
	PriceTotal int            `json:"price_total"` // sum of price × quantity
	Quantity   int            `json:"quantity"`    // of all products together
	Lines      []OrderProduct `json:"order_products"`
	CreatedAt  time.Time      `json:"created_at"`
}

// OrderProduct is what an order has of a product.
type OrderProduct struct {
	ProductID string `json:"product_id"`
	Name      string `json:"name"`
	Price     int    `json:"price"` // of one, when the order was placed
	Quantity  int    `json:"quantity"`
}
