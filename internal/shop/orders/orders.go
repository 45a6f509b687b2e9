package orders

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
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
	"m3o/internal/shop/orders/ordersapi"
	"m3o/internal/shop/products/productsapi"
	"m3o/pkg/events/proto/orders"
)

// The bounds of what callers may say.
const (
	maxLines  = 200 // products of an order
	maxKey    = 255 // bytes of an idempotency key
	maxSearch = 200 // characters
)

// searched is how many users and products a search finds orders by, the newest ones.
const searched = 20

// maxAttempts bounds how often one idempotency key may come to nothing by a crash.
const maxAttempts = 16

// recoverChunk is how many reservations are looked at at once.
const recoverChunk = 100

// Deps is what the service needs.
type Deps struct {
	DB       *db.DB
	Outbox   *outbox.Outbox
	Config   config.Source
	Metrics  prometheus.Registerer
	Log      *slog.Logger
	Now      func() time.Time // UTC
	Products productsapi.Service
}

// Service is the orders of the shop. It is safe for concurrent use.
type Service struct {
	settings
	db       *db.DB
	outbox   *outbox.Outbox
	log      *slog.Logger
	now      func() time.Time
	products productsapi.Service
	inserts  *gather.Group[ordersapi.Order, decided]
}

// New makes the service.
func New(d Deps) (*Service, error) {
	set, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("make orders: %w", err)
	}
	s := &Service{settings: set, db: d.DB, outbox: d.Outbox, log: d.Log, now: d.Now, products: d.Products}
	s.inserts = gather.New(s.insert)
	return s, nil
}

// GetOrder implements ordersapi.Service.
func (s *Service) GetOrder(ctx context.Context, orderID string) (ordersapi.Order, error) {
	if _, err := auth.ShopOwn(ctx, ""); err != nil {
		return ordersapi.Order{}, err
	}
	if !isID(orderID) {
		return ordersapi.Order{}, notFound(orderID)
	}
	o, err := get(ctx, s.db, orderID)
	if errors.Is(err, db.ErrNoRows) {
		return ordersapi.Order{}, notFound(orderID)
	}
	if err != nil {
		return ordersapi.Order{}, fmt.Errorf("read order %s: %w", orderID, err)
	}
	if _, err := auth.ShopOwn(ctx, o.UserID); err != nil {
		return ordersapi.Order{}, err
	}
	return o, nil
}

func notFound(orderID string) error {
	return fault.New(fault.NotFound, "order %.64s does not exist", orderID)
}

// isID says whether a text may be an id. What is not is nobody's, and some of it no store takes.
func isID(text string) bool {
	return text != "" && len(text) <= 64 && !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' })
}

// GetOrders implements ordersapi.Service. A search finds orders by at most 20 users and 20 products.
func (s *Service) GetOrders(ctx context.Context, search string, limit int, cursor string) ([]ordersapi.Order, string, error) {
	limit, err := page.Limit(limit)
	if err != nil {
		return nil, "", err
	}
	f := filter{limit: limit + 1}
	if f.before, err = page.ParseOf("ord_", cursor); err != nil {
		return nil, "", err
	}
	all := auth.ShopAdmin(ctx) == nil
	if !all {
		if f.userID, err = auth.ShopOwn(ctx, ""); err != nil {
			return nil, "", err
		}
	}
	if search != "" {
		if f.search, err = s.search(ctx, search, all); err != nil {
			return nil, "", err
		}
	}
	found, err := list(ctx, s.db, f)
	if err != nil || len(found) <= limit {
		return found, "", err
	}
	found = found[:limit]
	last := found[limit-1]
	return found, page.Cursor{Time: db.Micro(last.CreatedAt), ID: last.ID}.String(), nil
}

// search finds what a text may mean; users only for who may see them.
func (s *Service) search(ctx context.Context, text string, users bool) (*matches, error) {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) || utf8.RuneCountInString(text) > maxSearch {
		return nil, fault.BadField("search", "must be text of at most %d characters", maxSearch)
	}
	m := &matches{orderID: text}
	var err error
	if m.productIDs, err = find(ctx, s.db, findProductsSQL, text, searched); err != nil || !users {
		return m, err
	}
	m.userIDs, err = find(ctx, s.db, findUsersSQL, text, searched)
	return m, err
}

// PlaceOrder implements ordersapi.Service. What it answers is there for good, and its products are out of stock. The
// price is that at which they were reserved. Faults: NotFound for a product that is not sold, productsapi.OutOfStock,
// Conflict for a key that was used with other products, and Unavailable when the order took so long that it was
// rejected meanwhile. A call that was not answered may have placed the order; the same key tells.
func (s *Service) PlaceOrder(ctx context.Context, orderProducts []ordersapi.OrderLine, idempotencyKey string) (ordersapi.Order, error) {
	userID, err := buyer(ctx)
	if err != nil {
		return ordersapi.Order{}, err
	}
	lines, err := sum(orderProducts)
	if err != nil {
		return ordersapi.Order{}, err
	}
	if len(idempotencyKey) > maxKey {
		return ordersapi.Order{}, fault.BadField("idempotency_key", "has %d bytes: send at most %d", len(idempotencyKey), maxKey)
	}
	request, under := idempotency.Of[ordersapi.PlaceOrderOut](ctx)
	switch {
	case idempotencyKey != "":
		return s.placeOnce(ctx, userID, "key", idempotencyKey, lines)
	case under:
		return s.placeOnce(ctx, userID, "call", request.Key, lines)
	}
	return s.place(ctx, id.New("ord"), userID, lines)
}

// buyer is the user of the shop who calls.
func buyer(ctx context.Context) (string, error) {
	userID, err := auth.ShopOwn(ctx, "")
	if err == nil && userID == "" {
		err = fault.New(fault.Forbidden, "only a user of the shop may order")
	}
	return userID, err
}

// sum is what is ordered of each product, in the order in which they come first.
func sum(wanted []ordersapi.OrderLine) ([]productsapi.ReserveLine, error) {
	if len(wanted) == 0 {
		return nil, fault.BadField("order_products", "is empty: order at least one product")
	}
	var lines []productsapi.ReserveLine
	place, total := map[string]int{}, 0
	for i, line := range wanted {
		field := fmt.Sprintf("order_products[%d]", i)
		if line.ProductID == "" {
			return nil, fault.BadField(field+".product_id", "is missing")
		}
		if line.Quantity < 1 || line.Quantity > productsapi.Max {
			return nil, fault.BadField(field+".quantity", "%d is not between 1 and %d", line.Quantity, productsapi.Max)
		}
		if total += line.Quantity; total > productsapi.Max {
			return nil, fault.BadField(field+".quantity", "makes more than %d in all: order less", productsapi.Max)
		}
		at, known := place[line.ProductID]
		if !known {
			at, place[line.ProductID] = len(lines), len(lines)
			lines = append(lines, productsapi.ReserveLine{ProductID: line.ProductID})
		}
		lines[at].Quantity += line.Quantity
	}
	if len(lines) > maxLines {
		return nil, fault.BadField("order_products", "are %d different ones: order at most %d", len(lines), maxLines)
	}
	return lines, nil
}

// placeOnce places an order at most once under a key. Its id follows from the key, so that whoever repeats the call
// means the same order; where that came to nothing by a crash, the next attempt's id does.
func (s *Service) placeOnce(ctx context.Context, userID, kind, key string, lines []productsapi.ReserveLine) (ordersapi.Order, error) {
	for attempt := range maxAttempts {
		orderID := derive(userID, kind, key, attempt)
		o, err := get(ctx, s.db, orderID)
		switch {
		case errors.Is(err, db.ErrNoRows):
			return s.place(ctx, orderID, userID, lines)
		case err != nil:
			return ordersapi.Order{}, fmt.Errorf("look for order %s: %w", orderID, err)
		case o.Status == ordersapi.Placed:
			return s.replay(ctx, o, lines)
		}
	}
	return ordersapi.Order{}, fault.New(fault.Conflict, "%d orders under this idempotency key came to nothing: send a new key", maxAttempts)
}

// alphabet is that of other ids.
var alphabet = base32.HexEncoding.WithPadding(base32.NoPadding)

// derive is the id of an order that a key names. The lengths keep (a, bc) and (ab, c) apart.
func derive(userID, kind, key string, attempt int) string {
	digest := sha256.Sum256(fmt.Appendf(nil, "%d:%s %s %d:%s %d", len(userID), userID, kind, len(key), key, attempt))
	return "ord_" + strings.ToLower(alphabet.EncodeToString(digest[:16]))
}

// replay answers with an order that is there, if it is the one that is wanted.
func (s *Service) replay(ctx context.Context, o ordersapi.Order, lines []productsapi.ReserveLine) (ordersapi.Order, error) {
	if !same(o.Lines, lines) {
		return ordersapi.Order{}, usedOtherwise()
	}
	if request, under := idempotency.Of[ordersapi.PlaceOrderOut](ctx); under && request.Replayed != nil {
		request.Replayed()
	}
	s.count("replayed")
	return o, nil
}

func usedOtherwise() error {
	return fault.New(fault.Conflict, "the idempotency key was used to order other products: send a new key")
}

// same says whether an order has what is wanted, in whatever order.
func same(have []ordersapi.OrderProduct, want []productsapi.ReserveLine) bool {
	return len(have) == len(want) && !slices.ContainsFunc(have, func(h ordersapi.OrderProduct) bool {
		return !slices.Contains(want, productsapi.ReserveLine{ProductID: h.ProductID, Quantity: h.Quantity})
	})
}

// place reserves the products and then places the order: see the states in doc.go.
func (s *Service) place(ctx context.Context, orderID, userID string, lines []productsapi.ReserveLine) (ordersapi.Order, error) {
	reserved, err := s.products.Reserve(auth.AsService(ctx, ordersapi.Host), orderID, userID, lines)
	if productsapi.Released(err) { // since it was looked for
		return ordersapi.Order{}, rejected(orderID)
	}
	if err != nil {
		return ordersapi.Order{}, err
	}
	wanted := order(orderID, userID, ordersapi.Placed, reserved, s.now())
	if !same(wanted.Lines, lines) { // an earlier call has reserved them, and is not done or has crashed
		return ordersapi.Order{}, usedOtherwise()
	}
	d, err := s.inserts.Do(ctx, wanted)
	switch {
	case err != nil:
		return ordersapi.Order{}, err
	case d.order.Status == ordersapi.Rejected:
		return ordersapi.Order{}, rejected(orderID)
	case !d.fresh:
		return s.replay(ctx, d.order, lines)
	}
	s.count("placed")
	return d.order, nil
}

// rejected is the fault of an order that was rejected while it was being placed.
func rejected(orderID string) error {
	return fault.New(fault.Unavailable, "order %s took too long and was rejected, nothing was ordered: try again", orderID)
}

// order is an order of what is reserved for it. Products has seen to it that the sums are no greater than productsapi.Max.
func order(orderID, userID, status string, reserved []productsapi.ReservedLine, now time.Time) ordersapi.Order {
	o := ordersapi.Order{ID: orderID, UserID: userID, Status: status, CreatedAt: db.Time(db.Micro(now)), Lines: make([]ordersapi.OrderProduct, len(reserved))}
	for i, line := range reserved {
		o.Lines[i] = ordersapi.OrderProduct(line)
		o.PriceTotal += line.Price * line.Quantity
		o.Quantity += line.Quantity
	}
	return o
}

// decided is an order as it is for good, and whether this call made it so.
type decided struct {
	order ordersapi.Order
	fresh bool
}

// insert inserts the orders that wait once it is its turn to write, with their facts, all in one transaction.
func (s *Service) insert(ctx context.Context, take func() []ordersapi.Order) (answers []gather.Answer[decided], err error) {
	err = s.db.Tx(ctx, func(tx *db.Tx) error {
		set := take()
		answers = make([]gather.Answer[decided], len(set))
		fresh, err := insert(ctx, tx, set)
		if err != nil {
			return err
		}
		var facts []outbox.Fact
		var known []string
		for i, o := range set {
			answers[i].Value = decided{order: o, fresh: fresh[o.ID]}
			if !fresh[o.ID] {
				known = append(known, o.ID)
				continue
			}
			delete(fresh, o.ID) // of two in one set the second is a repetition
			facts = append(facts, outbox.Fact{Key: o.ID, Msg: placed(o)})
		}
		there, err := listByID(ctx, tx, known)
		if err != nil {
			return err
		}
		for i := range answers {
			if d := &answers[i].Value; !d.fresh {
				d.order = there[d.order.ID]
			}
		}
		return s.outbox.AddMany(ctx, tx, ordersapi.Host, orders.Topic, facts)
	})
	return answers, err
}

// placed is the fact that an order is placed.
func placed(o ordersapi.Order) *orders.Event {
	fact := &orders.OrderPlaced{
		Id: o.ID, UserId: o.UserID, PriceTotal: int32(o.PriceTotal), Quantity: int32(o.Quantity), CreatedAt: db.Micro(o.CreatedAt),
		OrderProducts: make([]*orders.OrderProduct, len(o.Lines)),
	}
	for i, line := range o.Lines {
		fact.OrderProducts[i] = &orders.OrderProduct{ProductId: line.ProductID, Name: line.Name, Price: int32(line.Price), Quantity: int32(line.Quantity)}
	}
	return &orders.Event{Type: orders.EventType_ORDER_PLACED, OrderPlaced: fact}
}

// Recover ends what crashed between reserving and placing. Its decision is the order's row: whoever writes that first
// decides, so that a call which is only slow comes to the same end as everybody else.
func (s *Service) Recover(ctx context.Context) error {
	for {
		open, err := s.products.OpenReservations(ctx, s.ReservationLimit(), recoverChunk)
		if err != nil {
			return fmt.Errorf("recover orders: %w", err)
		}
		var failed []error
		for _, r := range open {
			if err := s.end(ctx, r); err != nil {
				failed = append(failed, fmt.Errorf("recover order %s: %w", r.OrderID, err))
			}
		}
		if len(failed) > 0 || len(open) < recoverChunk || ctx.Err() != nil {
			return errors.Join(failed...)
		}
	}
}

// end rejects the order of a reservation unless it is placed, and ends the reservation accordingly.
func (s *Service) end(ctx context.Context, r productsapi.Reservation) error {
	wanted := order(r.OrderID, r.Holder, ordersapi.Rejected, r.Lines, s.now())
	var status string
	err := s.db.Tx(ctx, func(tx *db.Tx) error {
		if _, err := insert(ctx, tx, []ordersapi.Order{wanted}); err != nil {
			return err
		}
		decided, err := get(ctx, tx, r.OrderID)
		status = decided.Status
		return err
	})
	if err != nil {
		return err
	}
	if status == ordersapi.Placed {
		return s.products.Commit(ctx, r.OrderID)
	}
	if err := s.products.Release(ctx, r.OrderID); err != nil {
		return err
	}
	s.log.WarnContext(ctx, "order was rejected: it was not placed in time", "order", r.OrderID, "user", r.Holder)
	s.count("rejected")
	return nil
}

func (s *Service) count(outcome string) {
	_ = s.IncrementOrders(1, outcome) // it never falls
}
