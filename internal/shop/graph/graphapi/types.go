package graphapi

import "m3o/internal/shop/orders/ordersapi"

// News is what has happened in the shop since the news before.
type News struct {
	Placed []ordersapi.Order `json:"placed"`
	Stock  []Stock           `json:"stock"`
}

// Stock is how much there is of a product.
type Stock struct {
	ProductID string `json:"product_id"`
	Stock     int    `json:"stock"`
	Version   int64  `json:"version"` // of two, the greater one is true
}
