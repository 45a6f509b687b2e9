package products

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/auth"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/db"
	"m3o/internal/db/gather"
	"m3o/internal/db/idempotency"
	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/page"
	"m3o/internal/shop/products/productsapi"
	"m3o/pkg/events/proto/products"
)

// The bounds of what callers may say.
const (
	maxName        = 200    // characters
	maxDescription = 10_000 // characters
	maxLines       = 200    // products of an order
)

// maxAgain bounds how often a set is decided anew because other processes sell the same.
const maxAgain = 20

// announceChunk is how many products' rows are held at once while their stock is stated.
const announceChunk = 20

// Deps is what the service needs.
type Deps struct {
	DB      *db.DB
	Outbox  *outbox.Outbox
	Config  config.Source
	Metrics prometheus.Registerer
	Now     func() time.Time // UTC
	Durable bool             // what orders change is on the disk before it is answered, since they keep their rows in another store
}

// Service is the products of the shop. It is safe for concurrent use.
type Service struct {
	settings
	db      *db.DB
	outbox  *outbox.Outbox
	now     func() time.Time
	durable bool
	changes *gather.Group[change, []productsapi.ReservedLine]

	catalogue catalogue
}

// New makes the service.
func New(d Deps) (*Service, error) {
	set, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("make products: %w", err)
	}
	s := &Service{settings: set, db: d.DB, outbox: d.Outbox, now: d.Now, durable: d.Durable}
	s.changes = gather.New(s.change)
	return s, nil
}

// GetProduct implements productsapi.Service. Everybody may.
func (s *Service) GetProduct(ctx context.Context, productID string) (productsapi.Product, error) {
	if !isID(productID) {
		return productsapi.Product{}, notFound(productID)
	}
	p, err := get(ctx, s.db, productID)
	if errors.Is(err, db.ErrNoRows) {
		return productsapi.Product{}, notFound(productID)
	}
	if err != nil {
		return productsapi.Product{}, fmt.Errorf("read product %s: %w", productID, err)
	}
	return p, nil
}

// isID says whether a text may be an id. What is not is nobody's, and some of it no store takes.
func isID(text string) bool {
	return text != "" && len(text) <= 64 && !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' })
}

// GetProducts implements productsapi.Service. Everybody may.
func (s *Service) GetProducts(ctx context.Context, search string, limit int, cursor string) ([]productsapi.Product, string, error) {
	limit, err := page.Limit(limit)
	if err != nil {
		return nil, "", err
	}
	before, err := page.ParseOf("prd_", cursor)
	if err != nil {
		return nil, "", err
	}
	if err := checkText("search", search, 0, maxName); err != nil {
		return nil, "", err
	}
	all, err := list(ctx, s.db, search, before, limit+1)
	if err != nil {
		return nil, "", err
	}
	found, err := s.catalogue.complete(ctx, s.db, all)
	found = found[:min(len(found), limit)]
	if err != nil || len(all) <= limit || len(found) == 0 {
		return found, "", err
	}
	last := found[len(found)-1]
	return found, page.Cursor{Time: db.Micro(last.CreatedAt), ID: last.ID}.String(), nil
}

// GetProductsByID implements productsapi.Service. Everybody may.
func (s *Service) GetProductsByID(ctx context.Context, ids []string) ([]productsapi.Product, error) {
	if len(ids) > page.Max {
		return nil, fault.BadField("ids", "are %d: ask for at most %d at once", len(ids), page.Max)
	}
	all := []productsapi.Product{}
	known := slices.DeleteFunc(slices.Clone(ids), func(text string) bool { return !isID(text) })
	for chunk := range slices.Chunk(known, idsPerStatement) {
		found, err := listByID(ctx, s.db, chunk)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// AddProduct implements productsapi.Service.
func (s *Service) AddProduct(ctx context.Context, name, description string, price, stock int) (productsapi.Product, error) {
	if err := auth.ShopAdmin(ctx); err != nil {
		return productsapi.Product{}, err
	}
	if err := checkProduct(name, description, price, stock); err != nil {
		return productsapi.Product{}, err
	}
	out, err := idempotency.Tx(ctx, s.db, func(tx *db.Tx) (productsapi.AddProductOut, error) {
		p := productsapi.Product{ID: id.New("prd"), Name: name, Description: description, Price: price, Stock: stock, CreatedAt: db.Time(db.Micro(s.now()))}
		if err := insert(ctx, tx, p); err != nil {
			return productsapi.AddProductOut{}, err
		}
		return productsapi.AddProductOut{Product: p}, s.outbox.Add(ctx, tx, productsapi.Host, products.Topic, p.ID, created(p))
	})
	return out.Product, err
}

func checkProduct(name, description string, price, stock int) error {
	if err := checkText("name", name, 1, maxName); err != nil {
		return err
	}
	if err := checkText("description", description, 0, maxDescription); err != nil {
		return err
	}
	if err := checkNumber("price", price, 0); err != nil {
		return err
	}
	return checkNumber("stock", stock, 0)
}

// checkText refuses what a store cannot take, or a page not show.
func checkText(field, text string, least, most int) error {
	switch n := utf8.RuneCountInString(text); {
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return fault.BadField(field, "must be text in UTF-8 without NUL")
	case n > most:
		return fault.BadField(field, "has %d characters: send at most %d", n, most)
	case least > 0 && strings.TrimSpace(text) == "":
		return fault.BadField(field, "is missing: send between %d and %d characters", least, most)
	}
	return nil
}

func checkNumber(field string, n, least int) error {
	if n < least || n > productsapi.Max {
		return fault.BadField(field, "%d is not between %d and %d", n, least, productsapi.Max)
	}
	return nil
}

// UpdateInventory implements productsapi.Service. A product is deleted for good: it is not shown and not sold any more,
// what orders hold of it stays theirs.
func (s *Service) UpdateInventory(ctx context.Context, productID string, updateType, number int) (bool, error) {
	if err := auth.ShopAdmin(ctx); err != nil {
		return false, err
	}
	if updateType < productsapi.Add || updateType > productsapi.Delete {
		return false, fault.BadField("type", "%d is none: send 1 to add, 2 to subtract, 3 to delete", updateType)
	}
	if updateType != productsapi.Delete {
		if err := checkNumber("number", number, 1); err != nil {
			return false, err
		}
	}
	if !isID(productID) {
		return false, notFound(productID)
	}
	out, err := idempotency.Tx(ctx, s.db, func(tx *db.Tx) (productsapi.UpdateInventoryOut, error) {
		now, err := update(ctx, tx, productID, updateType, number)
		if errors.Is(err, db.ErrNoRows) {
			return productsapi.UpdateInventoryOut{}, whyNot(ctx, tx, productID, updateType, number)
		}
		if err != nil {
			return productsapi.UpdateInventoryOut{}, fmt.Errorf("update the inventory of %s: %w", productID, err)
		}
		return productsapi.UpdateInventoryOut{Success: true}, s.outbox.Add(ctx, tx, productsapi.Host, products.Topic, productID, updated(now))
	})
	return out.Success, err
}

// whyNot is the fault of an update that was not made.
func whyNot(ctx context.Context, tx *db.Tx, productID string, updateType, number int) error {
	p, err := get(ctx, tx, productID)
	switch {
	case errors.Is(err, db.ErrNoRows):
		return notFound(productID)
	case err != nil:
		return fmt.Errorf("read product %s: %w", productID, err)
	case updateType == productsapi.Subtract:
		return productsapi.NewOutOfStock(p.ID, p.Name)
	}
	return fault.BadField("number", "%d more than the %d in stock, and what is reserved, would be above %d", number, p.Stock, productsapi.Max)
}

// Reserve implements productsapi.Service. The price is that of this moment. Faults: NotFound for a product that is not
// sold, productsapi.OutOfStock, and productsapi.Released after Release.
func (s *Service) Reserve(ctx context.Context, orderID, holder string, orderProducts []productsapi.ReserveLine) ([]productsapi.ReservedLine, error) {
	if err := checkOrderID(orderID); err != nil {
		return nil, err
	}
	if !isID(holder) {
		return nil, fault.BadField("holder", "%.64q is no id of a user", holder)
	}
	if err := checkLines(orderProducts); err != nil {
		return nil, err
	}
	return s.changes.Do(ctx, change{to: reserved, orderID: orderID, holder: holder, lines: orderProducts})
}

func checkOrderID(orderID string) error {
	if !isID(orderID) {
		return fault.BadField("order_id", "%.64q is no id of an order", orderID)
	}
	return nil
}

func checkLines(lines []productsapi.ReserveLine) error {
	if len(lines) == 0 || len(lines) > maxLines {
		return fault.BadField("order_products", "are %d: order between 1 and %d products", len(lines), maxLines)
	}
	seen := make(map[string]bool, len(lines))
	for i, line := range lines {
		if seen[line.ProductID] {
			return fault.BadField(fmt.Sprintf("order_products[%d].product_id", i), "is there twice: sum the quantities")
		}
		seen[line.ProductID] = true
		if !isID(line.ProductID) {
			return notFound(line.ProductID)
		}
		if err := checkNumber(fmt.Sprintf("order_products[%d].quantity", i), line.Quantity, 1); err != nil {
			return err
		}
	}
	return nil
}

// Release implements productsapi.Service. It is repeatable; what is sold is a Conflict.
func (s *Service) Release(ctx context.Context, orderID string) error {
	if err := checkOrderID(orderID); err != nil {
		return err
	}
	_, err := s.changes.Do(ctx, change{to: released, orderID: orderID})
	return err
}

// Commit implements productsapi.Service. It is repeatable; an order that never held anything is NotFound, one that was
// released productsapi.Released.
func (s *Service) Commit(ctx context.Context, orderID string) error {
	return s.sell(ctx, 0, orderID)
}

// sell sells what an order holds, together with other changes if any come in time.
func (s *Service) sell(ctx context.Context, patience time.Duration, orderID string) error {
	if err := checkOrderID(orderID); err != nil {
		return err
	}
	_, err := s.changes.Within(ctx, patience, change{to: sold, orderID: orderID})
	return err
}

// change decides and writes the changes that wait once it is its turn to write, all in one transaction. In the store that orders are in, what decides
// about a change is written after it and waited for: a machine that loses power loses neither or both.
func (s *Service) change(ctx context.Context, take func() []change) (answers []gather.Answer[[]productsapi.ReservedLine], err error) {
	if !s.durable {
		ctx = db.Relaxed(ctx)
	}
	once := func(tx *db.Tx) error {
		set := take()
		b, err := read(ctx, tx, set, s.now())
		if err != nil {
			return err
		}
		answers = make([]gather.Answer[[]productsapi.ReservedLine], len(set))
		for i, c := range set {
			answers[i].Value, answers[i].Err = b.apply(c)
		}
		if err := b.write(ctx, tx); err != nil {
			return err
		}
		tx.AfterCommit(func() { s.count(b, answers) })
		return nil
	}
	err = s.db.Tx(ctx, once)
	for n := 0; errors.Is(err, errMoved) && n < maxAgain; n++ {
		err = s.db.Tx(ctx, once)
	}
	if errors.Is(err, errMoved) {
		return nil, fault.Wrap(fault.Unavailable, err, "the products are in great demand: try again in a moment").After(time.Second)
	}
	if err != nil {
		return nil, fmt.Errorf("change the stock: %w", err)
	}
	return answers, nil
}

// count counts what a set has done.
func (s *Service) count(b *book, answers []gather.Answer[[]productsapi.ReservedLine]) {
	n := map[string]int{}
	for _, r := range b.reservations {
		if r.state != r.stored {
			n[r.state]++
		}
	}
	for _, a := range answers {
		if productsapi.OutOfStock(a.Err) {
			n["out_of_stock"]++
		}
	}
	for outcome, count := range n {
		_ = s.IncrementReservations(count, outcome) // it never falls
	}
}

// OpenReservations implements productsapi.Service. Age is by the clock of this service.
func (s *Service) OpenReservations(ctx context.Context, olderThan time.Duration, limit int) ([]productsapi.Reservation, error) {
	limit, err := page.Limit(limit)
	if err != nil {
		return nil, err
	}
	found, err := listOpen(ctx, s.db, s.now().Add(-olderThan), limit)
	if err != nil {
		return nil, err
	}
	open := make([]productsapi.Reservation, len(found))
	for i, r := range found {
		open[i] = productsapi.Reservation{OrderID: r.orderID, Holder: r.holder, Lines: r.lines, CreatedAt: r.createdAt}
	}
	return open, nil
}

// AnnounceStock states the stock of each product that orders have changed since it was stated last, so that thousands of
// orders make one fact a product.
func (s *Service) AnnounceStock(ctx context.Context) error {
	for n := announceChunk; n == announceChunk && ctx.Err() == nil; {
		err := s.db.Tx(db.Relaxed(ctx), func(tx *db.Tx) error {
			all, err := state(ctx, tx, announceChunk)
			if err != nil {
				return err
			}
			n = len(all)
			facts := make([]outbox.Fact, n)
			for i, now := range all {
				facts[i] = outbox.Fact{Key: now.productID, Msg: updated(now)}
			}
			return s.outbox.AddMany(ctx, tx, productsapi.Host, products.Topic, facts)
		})
		if err != nil {
			return fmt.Errorf("announce the stock: %w", err)
		}
	}
	return nil
}

// created is the fact that a product is sold from now on.
func created(p productsapi.Product) *products.Event {
	return &products.Event{Type: products.EventType_PRODUCT_CREATED, ProductCreated: &products.ProductCreated{
		Id: p.ID, Name: p.Name, Description: p.Description, Price: int32(p.Price), Stock: int32(p.Stock), Version: 1, CreatedAt: db.Micro(p.CreatedAt),
	}}
}

// updated is the fact of how much there is of a product.
func updated(now inventory) *products.Event {
	return &products.Event{Type: products.EventType_INVENTORY_UPDATE, InventoryUpdate: &products.InventoryUpdate{
		ProductId: now.productID, Stock: now.stock, Version: now.version, Deleted: now.deleted,
	}}
}
