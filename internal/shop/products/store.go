package products

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"m3o/internal/db"
	"m3o/internal/page"
	"m3o/internal/shop/products/productsapi"
)

const columns = `id, name, description, price, stock, created_at`

// scan reads columns.
func scan(row interface{ Scan(dest ...any) error }) (p productsapi.Product, err error) {
	var created int64
	err = row.Scan(&p.ID, &p.Name, &p.Description, &p.Price, &p.Stock, &created)
	p.CreatedAt = db.Time(created)
	return p, err
}

const insertSQL = `
	INSERT INTO products (` + columns + `, initial, added, subtracted, reserved, sold, version, stated, deleted)
	VALUES ($1, $2, $3, $4, $5, $6, $5, 0, 0, 0, 0, 1, TRUE, FALSE)`

func insert(ctx context.Context, tx *db.Tx, p productsapi.Product) error {
	if _, err := tx.Exec(ctx, insertSQL, p.ID, p.Name, p.Description, int64(p.Price), int64(p.Stock), db.Micro(p.CreatedAt)); err != nil {
		return fmt.Errorf("insert product %s: %w", p.ID, err)
	}
	return nil
}

const getSQL = `SELECT ` + columns + ` FROM products WHERE id = $1 AND NOT deleted`

// get reads a product that is sold; ErrNoRows when there is none.
func get(ctx context.Context, q db.Querier, productID string) (productsapi.Product, error) {
	return scan(q.QueryRow(ctx, getSQL, productID))
}

// A page is read as one row of text, "id stock,id stock,…": a row for each product costs several times as much. The rest
// is in the catalogue.
const (
	listSQL = `
		SELECT COALESCE(string_agg(id || ' ' || CAST(stock AS TEXT), ','), '') FROM (
			SELECT id, stock FROM products
			WHERE NOT deleted AND (created_at, id) < ($1, $2)
			ORDER BY created_at DESC, id DESC LIMIT $3
		) AS listed`
	searchSQL = `
		SELECT COALESCE(string_agg(id || ' ' || CAST(stock AS TEXT), ','), '') FROM (
			SELECT id, stock FROM products
			WHERE NOT deleted AND (created_at, id) < ($1, $2)
			AND (LOWER(name) LIKE $4 ESCAPE '\' OR LOWER(description) LIKE $4 ESCAPE '\' OR name LIKE $5 ESCAPE '\' OR description LIKE $5 ESCAPE '\')
			ORDER BY created_at DESC, id DESC LIMIT $3
		) AS listed`
)

// listed is a product as it is in a list.
type listed struct {
	id    string
	stock int
}

// list reads which the next products before the cursor are, up to limit, in no order. Texts are also compared as they are
// written, for SQLite lowers ASCII only.
func list(ctx context.Context, q db.Querier, search string, before page.Cursor, limit int) ([]listed, error) {
	if before == (page.Cursor{}) {
		before.Time = math.MaxInt64
	}
	query, args := listSQL, []any{before.Time, before.ID, limit}
	if search != "" {
		escape := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
		pattern := "%" + escape.Replace(search) + "%"
		query, args = searchSQL, append(args, strings.ToLower(pattern), pattern)
	}
	var text string
	if err := q.QueryRow(ctx, query, args...).Scan(&text); err != nil {
		return nil, fmt.Errorf("list products: %w", err)
	}
	return readListed(text)
}

func readListed(text string) ([]listed, error) {
	if text == "" {
		return nil, nil
	}
	all := make([]listed, 0, strings.Count(text, ",")+1)
	for one := range strings.SplitSeq(text, ",") {
		productID, stock, _ := strings.Cut(one, " ")
		n, err := strconv.Atoi(stock)
		if err != nil {
			return nil, fmt.Errorf("list products: the stock of %s: %w", productID, err)
		}
		all = append(all, listed{productID, n})
	}
	return all, nil
}

func scanAll(rows *sql.Rows, err error) ([]productsapi.Product, error) {
	if err != nil {
		return nil, fmt.Errorf("read products: %w", err)
	}
	defer rows.Close()
	found := []productsapi.Product{}
	for rows.Next() {
		p, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("list products: %w", err)
		}
		found = append(found, p)
	}
	return found, rows.Err()
}

const byIDSQL = `SELECT ` + columns + ` FROM products WHERE NOT deleted AND id IN (%s)`

func listByID(ctx context.Context, q db.Querier, ids []string) ([]productsapi.Product, error) {
	args := anys(ids)
	return scanAll(q.Query(ctx, fmt.Sprintf(byIDSQL, db.In(1, len(args))), args...))
}

// The changes of an inventory. What orders have changed since it was stated last is stated with them.
const (
	addSQL = `
		UPDATE products SET stock = stock + $2, added = added + $2, version = version + 1, stated = TRUE
		WHERE id = $1 AND NOT deleted AND stock + reserved + $2 <= 2147483647 RETURNING stock, version, deleted`
	subtractSQL = `
		UPDATE products SET stock = stock - $2, subtracted = subtracted + $2, version = version + 1, stated = TRUE
		WHERE id = $1 AND NOT deleted AND stock >= $2 RETURNING stock, version, deleted`
	deleteSQL = `
		UPDATE products SET deleted = TRUE, version = version + 1, stated = TRUE
		WHERE id = $1 AND NOT deleted RETURNING stock, version, deleted`
)

// inventory is what is stated of a product's stock.
type inventory struct {
	productID string
	stock     int32
	version   int64
	deleted   bool
}

// update changes an inventory; ErrNoRows when it may not be.
func update(ctx context.Context, tx *db.Tx, productID string, updateType, number int) (inventory, error) {
	statement, args := deleteSQL, []any{productID}
	switch updateType {
	case productsapi.Add:
		statement, args = addSQL, append(args, int64(number))
	case productsapi.Subtract:
		statement, args = subtractSQL, append(args, int64(number))
	}
	found := inventory{productID: productID}
	err := tx.QueryRow(ctx, statement, args...).Scan(&found.stock, &found.version, &found.deleted)
	return found, err
}

const (
	unstatedSQL = `SELECT id FROM products WHERE NOT stated ORDER BY id LIMIT $1`
	stateSQL    = `UPDATE products SET stated = TRUE WHERE id = $1 AND NOT stated RETURNING stock, version, deleted`
)

// state marks the stock of up to limit products as stated, in the order of their ids, and says what to state.
func state(ctx context.Context, tx *db.Tx, limit int) ([]inventory, error) {
	ids, err := unstated(ctx, tx, limit)
	if err != nil {
		return nil, fmt.Errorf("find stock to state: %w", err)
	}
	var all []inventory
	for _, productID := range ids {
		found := inventory{productID: productID}
		err := tx.QueryRow(ctx, stateSQL, productID).Scan(&found.stock, &found.version, &found.deleted)
		if errors.Is(err, db.ErrNoRows) { // somebody else has stated it meanwhile
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("state the stock of %s: %w", productID, err)
		}
		all = append(all, found)
	}
	return all, nil
}

func unstated(ctx context.Context, q db.Querier, limit int) ([]string, error) {
	rows, err := q.Query(ctx, unstatedSQL, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var productID string
		if err := rows.Scan(&productID); err != nil {
			return nil, err
		}
		ids = append(ids, productID)
	}
	return ids, rows.Err()
}

// errMoved says that a set was decided on what is true no more.
var errMoved = errors.New("the stock has moved")

// How much goes into a statement: SQLite looks named parameters up one by one, so a long statement costs it more than a
// few short ones; Postgres wants few round trips.
const (
	idsPerStatement  = 64
	rowsPerStatement = 16
)

const (
	shelvesSQL      = `SELECT id, name, price, stock, deleted FROM products WHERE id IN (%s)`
	reservationsSQL = `SELECT order_id, holder, lines, state, created_at FROM products_reservations WHERE order_id IN (%s)`
)

// read reads what a set of changes is about.
func read(ctx context.Context, tx *db.Tx, set []change, now time.Time) (*book, error) {
	b := &book{products: map[string]*shelf{}, reservations: map[string]*reservation{}, now: now}
	orders, products := map[string]bool{}, map[string]bool{}
	for _, c := range set {
		orders[c.orderID] = true
		for _, line := range c.lines {
			products[line.ProductID] = true
		}
	}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(orders)), idsPerStatement) {
		args := anys(chunk)
		found, err := scanReservations(tx.Query(ctx, fmt.Sprintf(reservationsSQL, db.In(1, len(args))), args...))
		if err != nil {
			return nil, err
		}
		for _, r := range found {
			b.reservations[r.orderID] = r
		}
	}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(products)), idsPerStatement) {
		if err := b.readShelves(ctx, tx, chunk); err != nil {
			return nil, fmt.Errorf("read the stock: %w", err)
		}
	}
	return b, nil
}

func scanReservations(rows *sql.Rows, err error) ([]*reservation, error) {
	if err != nil {
		return nil, fmt.Errorf("read reservations: %w", err)
	}
	defer rows.Close()
	var found []*reservation
	for rows.Next() {
		var r reservation
		var lines []byte
		var created int64
		if err := rows.Scan(&r.orderID, &r.holder, &lines, &r.state, &created); err != nil {
			return nil, fmt.Errorf("read reservations: %w", err)
		}
		if err := json.Unmarshal(lines, &r.lines); err != nil {
			return nil, fmt.Errorf("read the reservation of %s: %w", r.orderID, err)
		}
		r.stored, r.createdAt = r.state, db.Time(created)
		found = append(found, &r)
	}
	return found, rows.Err()
}

func (b *book) readShelves(ctx context.Context, tx *db.Tx, ids []string) error {
	args := anys(ids)
	rows, err := tx.Query(ctx, fmt.Sprintf(shelvesSQL, db.In(1, len(args))), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var p shelf
		if err := rows.Scan(&p.id, &p.name, &p.price, &p.stock, &p.deleted); err != nil {
			return err
		}
		p.seen, p.least = p.stock, p.stock
		b.products[p.id] = &p
	}
	return rows.Err()
}

// write writes what a set of changes has done, or answers errMoved: then the transaction must be given up and the set
// decided anew. Rows are taken in the order of their keys, reservations first, as everybody does who takes several.
// Products follow only when every reservation was met: of what another process has ended, the sums of the products are
// not ours to change.
func (b *book) write(ctx context.Context, tx *db.Tx) error {
	reservations, err := b.outcomes()
	if err == nil {
		err = run(ctx, tx, reservations)
	}
	if err == nil {
		err = run(ctx, tx, b.moves())
	}
	return err
}

// step is a statement of a set, and how many rows it has to meet.
type step struct {
	db.Statement
	want int
}

// run runs steps, or answers errMoved when one has met less than it has to.
func run(ctx context.Context, tx *db.Tx, steps []step) error {
	if len(steps) == 0 {
		return nil
	}
	statements := make([]db.Statement, len(steps))
	for i, one := range steps {
		statements[i] = one.Statement
	}
	met, err := tx.ExecAll(ctx, statements)
	if err != nil {
		return fmt.Errorf("write a set of changes: %w", err)
	}
	for i, one := range steps {
		if met[i] != int64(one.want) {
			return errMoved
		}
	}
	return nil
}

// outcomes are what becomes of reservations: those that are new, and those that end.
func (b *book) outcomes() (steps []step, err error) {
	var fresh []*reservation
	ended := map[string][]string{} // order ids by new state
	for _, orderID := range slices.Sorted(maps.Keys(b.reservations)) {
		switch r := b.reservations[orderID]; {
		case r.stored == "":
			fresh = append(fresh, r)
		case r.stored != r.state:
			ended[r.state] = append(ended[r.state], orderID)
		}
	}
	for chunk := range slices.Chunk(fresh, rowsPerStatement) {
		insert, err := insertReservations(chunk)
		if err != nil {
			return nil, err
		}
		steps = append(steps, insert)
	}
	for _, state := range []string{released, sold} {
		for chunk := range slices.Chunk(ended[state], idsPerStatement) {
			steps = append(steps, endReservations(state, chunk))
		}
	}
	return steps, nil
}

// moves are what becomes of products.
func (b *book) moves() (steps []step) {
	for _, productID := range slices.Sorted(maps.Keys(b.products)) {
		if p := b.products[productID]; p.changes != 0 || p.reserved != 0 {
			steps = append(steps, p.update())
		}
	}
	return steps
}

const insertReservationsSQL = `
	INSERT INTO products_reservations (order_id, holder, lines, state, created_at) VALUES %s ON CONFLICT (order_id) DO NOTHING`

func insertReservations(fresh []*reservation) (step, error) {
	values, args := make([]string, len(fresh)), make([]any, 0, 5*len(fresh))
	for i, r := range fresh {
		lines, err := json.Marshal(r.lines)
		if err != nil {
			return step{}, fmt.Errorf("reserve for %s: %w", r.orderID, err)
		}
		values[i] = "(" + db.In(len(args)+1, 5) + ")"
		args = append(args, r.orderID, r.holder, string(lines), r.state, db.Micro(r.createdAt))
	}
	return step{db.Statement{Query: fmt.Sprintf(insertReservationsSQL, strings.Join(values, ", ")), Args: args}, len(fresh)}, nil
}

const endReservationsSQL = `UPDATE products_reservations SET state = $1 WHERE state = $2 AND order_id IN (%s)`

func endReservations(state string, orders []string) step {
	ids := anys(orders)
	args := append([]any{state, reserved}, ids...)
	return step{db.Statement{Query: fmt.Sprintf(endReservationsSQL, db.In(3, len(ids))), Args: args}, len(orders)}
}

const moveSQL = `
	UPDATE products SET stock = stock + $2, reserved = reserved + $3, sold = sold + $4, version = version + $5, stated = stated AND $5 = 0
	WHERE id = $1 AND stock >= $6 AND (NOT deleted OR $6 = 0)`

// update makes the changes of a product, if there is still what they rely on.
func (p *shelf) update() step {
	return step{db.Statement{Query: moveSQL, Args: []any{p.id, p.stock - p.seen, p.reserved, p.sold, p.changes, p.need()}}, 1}
}

const openSQL = `
	SELECT order_id, holder, lines, state, created_at FROM products_reservations
	WHERE state = 'reserved' AND created_at <= $1 ORDER BY created_at, order_id LIMIT $2`

func listOpen(ctx context.Context, q db.Querier, before time.Time, limit int) ([]*reservation, error) {
	return scanReservations(q.Query(ctx, openSQL, db.Micro(before), limit))
}

// anys are texts as arguments of an IN list.
func anys(texts []string) []any {
	args := make([]any, len(texts))
	for i, text := range texts {
		args[i] = text
	}
	return db.Fill(args)
}
