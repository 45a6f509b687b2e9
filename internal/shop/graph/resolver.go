package graph

import (
	"context"

	graphql "github.com/graph-gophers/graphql-go"

	"m3o/internal/auth"
	"m3o/internal/fault"
	"m3o/internal/page"
	"m3o/internal/shop/graph/graphapi"
	"m3o/internal/shop/orders/ordersapi"
	"m3o/internal/shop/products/productsapi"
	"m3o/internal/shop/users/usersapi"
)

// resolver answers the fields of Query, Mutation and Subscription: it calls a service, which decides who may, and puts its
// answer into the types of the schema.
type resolver struct {
	users    usersapi.Service
	products productsapi.Service
	orders   ordersapi.Service
	listeners
}

// one is the argument that names a row.
type one struct{ ID graphql.ID }

func (a one) id() (string, error) { return idOf(a.ID) }

// idOf is an id that a client has sent. The services may take an empty one for something else, such as oneself.
func idOf(id graphql.ID) (string, error) {
	if id == "" {
		return "", fault.BadField("id", "is empty")
	}
	return string(id), nil
}

// rows are the arguments of a list.
type rows struct {
	First         *int32
	After, Search *string
}

// limit is how many rows are asked for; 0: it is not said.
func (a rows) limit() (int, error) {
	if a.First != nil && *a.First == 0 {
		return 0, fault.BadField("first", "0 is not between 1 and %d", page.Max)
	}
	return int(valueOf(a.First)), nil
}

func (a rows) cursor() string { return valueOf(a.After) }
func (a rows) search() string { return valueOf(a.Search) }

func valueOf[T any](optional *T) (value T) {
	if optional != nil {
		value = *optional
	}
	return value
}

// Users is the page without its cursor.
func (r *resolver) Users(ctx context.Context, a rows) ([]*user, error) {
	found, err := r.UsersPage(ctx, a)
	return found.Items, err
}

// UsersPage lists users.
func (r *resolver) UsersPage(ctx context.Context, a rows) (userPage, error) {
	limit, err := a.limit()
	if err != nil {
		return userPage{}, err
	}
	found, next, err := r.users.GetUsers(ctx, a.search(), limit, a.cursor())
	return userPage{each(found, newUser), cursor(next)}, err
}

// User reads a user.
func (r *resolver) User(ctx context.Context, a one) (*user, error) {
	id, err := a.id()
	if err != nil {
		return nil, err
	}
	found, err := r.users.GetUser(ctx, id)
	return newUser(found), err
}

// Products is the page without its cursor.
func (r *resolver) Products(ctx context.Context, a rows) ([]*product, error) {
	found, err := r.ProductsPage(ctx, a)
	return found.Items, err
}

// ProductsPage lists products.
func (r *resolver) ProductsPage(ctx context.Context, a rows) (productPage, error) {
	limit, err := a.limit()
	if err != nil {
		return productPage{}, err
	}
	found, next, err := r.products.GetProducts(ctx, a.search(), limit, a.cursor())
	return productPage{each(found, newProduct), cursor(next)}, err
}

// Product reads a product.
func (r *resolver) Product(ctx context.Context, a one) (*product, error) {
	id, err := a.id()
	if err != nil {
		return nil, err
	}
	found, err := r.products.GetProduct(ctx, id)
	return newProduct(found), err
}

// Orders is the page without its cursor.
func (r *resolver) Orders(ctx context.Context, a rows) ([]*order, error) {
	found, err := r.OrdersPage(ctx, a)
	return found.Items, err
}

// OrdersPage lists orders.
func (r *resolver) OrdersPage(ctx context.Context, a rows) (orderPage, error) {
	limit, err := a.limit()
	if err != nil {
		return orderPage{}, err
	}
	found, next, err := r.orders.GetOrders(ctx, a.search(), limit, a.cursor())
	return orderPage{r.ordersOf(found), cursor(next)}, err
}

// Order reads an order.
func (r *resolver) Order(ctx context.Context, a one) (*order, error) {
	id, err := a.id()
	if err != nil {
		return nil, err
	}
	found, err := r.orders.GetOrder(ctx, id)
	return r.orderOf(found), err
}

type newUserInput struct {
	Email, Username, Password string
	Type                      int32
}

// RegisterUser makes a user.
func (r *resolver) RegisterUser(ctx context.Context, a struct{ Input newUserInput }) (*user, error) {
	made, err := r.users.RegisterUser(ctx, a.Input.Email, a.Input.Username, a.Input.Password, int(a.Input.Type))
	return newUser(made), err
}

type loginInput struct{ Email, Password string }

// Login gives a token.
func (r *resolver) Login(ctx context.Context, a struct{ Input loginInput }) (session, error) {
	token, err := r.users.Login(ctx, a.Input.Email, a.Input.Password)
	return session{token}, err
}

// Logout revokes the token that came with the operation.
func (r *resolver) Logout(ctx context.Context) (result, error) {
	if _, err := auth.Caller(ctx); err != nil {
		return result{}, err
	}
	err := r.users.Logout(ctx, tokenOf(ctx))
	return result{err == nil}, err
}

type createProductInput struct {
	Name, Description string
	Price, Stock      int32
}

// CreateProduct puts a product on sale.
func (r *resolver) CreateProduct(ctx context.Context, a struct{ Input createProductInput }) (*product, error) {
	made, err := r.products.AddProduct(ctx, a.Input.Name, a.Input.Description, int(a.Input.Price), int(a.Input.Stock))
	return newProduct(made), err
}

type updateInventoryInput struct {
	ID           graphql.ID
	Type, Number int32
}

// UpdateInventory changes the stock of a product.
func (r *resolver) UpdateInventory(ctx context.Context, a struct{ Input updateInventoryInput }) (result, error) {
	id, err := idOf(a.Input.ID)
	if err != nil {
		return result{}, err
	}
	success, err := r.products.UpdateInventory(ctx, id, int(a.Input.Type), int(a.Input.Number))
	return result{success}, err
}

type placeOrderInput struct {
	OrderProducts  []placeOrderProduct
	IdempotencyKey *string
}

type placeOrderProduct struct {
	ProductID graphql.ID
	Quantity  int32
}

// PlaceOrder orders products.
func (r *resolver) PlaceOrder(ctx context.Context, a struct{ Input placeOrderInput }) (*order, error) {
	lines := each(a.Input.OrderProducts, func(p placeOrderProduct) ordersapi.OrderLine {
		return ordersapi.OrderLine{ProductID: string(p.ProductID), Quantity: int(p.Quantity)}
	})
	placed, err := r.orders.PlaceOrder(ctx, lines, valueOf(a.Input.IdempotencyKey))
	return r.orderOf(placed), err
}

// OrderPlaced tells every order that is placed from now on.
func (r *resolver) OrderPlaced(ctx context.Context) (<-chan *order, error) {
	if err := auth.ShopAdmin(ctx); err != nil {
		return nil, err
	}
	return listen(ctx, &r.placed, everything, r.orderOf)
}

// StockChanged tells every change of a product's stock from now on.
func (r *resolver) StockChanged(ctx context.Context, a one) (<-chan *stockChange, error) {
	id, err := a.id()
	if err != nil {
		return nil, err
	}
	if _, err := r.products.GetProduct(ctx, id); err != nil {
		return nil, err
	}
	var latest int64
	return listen(ctx, &r.stock, id, func(c graphapi.Stock) *stockChange {
		if c.Version <= latest { // an event that came again
			return nil
		}
		latest = c.Version
		return newStockChange(c, r.relate(nil, []string{c.ProductID}))
	})
}
