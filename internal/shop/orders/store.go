package orders

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"m3o/internal/db"
	"m3o/internal/page"
	"m3o/internal/shop/orders/ordersapi"
)

const columns = `id, user_id, status, price_total, quantity, lines, created_at`

// How much goes into a statement: SQLite looks named parameters up one by one, so a long statement costs it more than a
// few short ones; Postgres wants few round trips.
const (
	idsPerStatement  = 64
	rowsPerStatement = 16
)

const insertSQL = `INSERT INTO orders (` + columns + `) VALUES %s ON CONFLICT (id) DO NOTHING RETURNING id`

// insert inserts orders, those that are not there yet, in the order of their ids, and says which these were. Of several
// with the same id the first is inserted.
func insert(ctx context.Context, tx *db.Tx, all []ordersapi.Order) (fresh map[string]bool, err error) {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b ordersapi.Order) int { return strings.Compare(a.ID, b.ID) })
	fresh = map[string]bool{}
	for chunk := range slices.Chunk(all, rowsPerStatement) {
		if err := insertChunk(ctx, tx, chunk, fresh); err != nil {
			return nil, fmt.Errorf("insert %d orders: %w", len(chunk), err)
		}
	}
	return fresh, nil
}

func insertChunk(ctx context.Context, tx *db.Tx, chunk []ordersapi.Order, fresh map[string]bool) error {
	values, args := make([]string, len(chunk)), make([]any, 0, 7*len(chunk))
	for i, o := range chunk {
		lines, err := json.Marshal(o.Lines)
		if err != nil {
			return err
		}
		values[i] = "(" + db.In(len(args)+1, 7) + ")"
		args = append(args, o.ID, o.UserID, o.Status, int64(o.PriceTotal), int64(o.Quantity), string(lines), db.Micro(o.CreatedAt))
	}
	rows, err := tx.Query(ctx, fmt.Sprintf(insertSQL, strings.Join(values, ", ")), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var orderID string
		if err := rows.Scan(&orderID); err != nil {
			return err
		}
		fresh[orderID] = true
	}
	return rows.Err()
}

const (
	getSQL  = `SELECT ` + columns + ` FROM orders WHERE id = $1`
	byIDSQL = `SELECT ` + columns + ` FROM orders WHERE id IN (%s)`
)

// get reads an order; ErrNoRows when there is none.
func get(ctx context.Context, q db.Querier, orderID string) (ordersapi.Order, error) {
	return scan(q.QueryRow(ctx, getSQL, orderID))
}

// listByID reads the orders of the ids that are there.
func listByID(ctx context.Context, q db.Querier, ids []string) (map[string]ordersapi.Order, error) {
	found := map[string]ordersapi.Order{}
	for chunk := range slices.Chunk(ids, idsPerStatement) {
		args := db.Fill(anys(chunk))
		all, err := scanAll(q.Query(ctx, fmt.Sprintf(byIDSQL, db.In(1, len(args))), args...))
		if err != nil {
			return nil, err
		}
		for _, o := range all {
			found[o.ID] = o
		}
	}
	return found, nil
}

func scan(row interface{ Scan(dest ...any) error }) (o ordersapi.Order, err error) {
	var lines []byte
	var created int64
	if err := row.Scan(&o.ID, &o.UserID, &o.Status, &o.PriceTotal, &o.Quantity, &lines, &created); err != nil {
		return o, err
	}
	o.CreatedAt = db.Time(created)
	if err := json.Unmarshal(lines, &o.Lines); err != nil {
		return o, fmt.Errorf("read the lines of order %s: %w", o.ID, err)
	}
	return o, nil
}

func scanAll(rows *sql.Rows, err error) ([]ordersapi.Order, error) {
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	defer rows.Close()
	found := []ordersapi.Order{}
	for rows.Next() {
		o, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("list orders: %w", err)
		}
		found = append(found, o)
	}
	return found, rows.Err()
}

// filter is which orders to list.
type filter struct {
	userID string   // empty: everybody's
	search *matches // nil: all
	before page.Cursor
	limit  int
}

// matches is what a search has found: orders with one of these.
type matches struct {
	orderID             string
	userIDs, productIDs []string
}

// list reads orders, newest first.
func list(ctx context.Context, q db.Querier, f filter) ([]ordersapi.Order, error) {
	if f.before == (page.Cursor{}) {
		f.before.Time = math.MaxInt64
	}
	args := []any{f.before.Time, f.before.ID, f.limit}
	where := `(created_at, id) < ($1, $2)`
	if f.userID != "" {
		args = append(args, f.userID)
		where += fmt.Sprintf(` AND user_id = $%d`, len(args))
	}
	if f.search != nil {
		args = append(args, f.search.orderID)
		found := fmt.Sprintf(`id = $%d`, len(args))
		if len(f.search.userIDs) > 0 {
			found += ` OR user_id IN (` + db.In(len(args)+1, len(f.search.userIDs)) + `)`
			args = append(args, anys(f.search.userIDs)...)
		}
		for _, productID := range f.search.productIDs {
			args = append(args, `%"`+productID+`"%`)
			found += fmt.Sprintf(` OR lines LIKE $%d`, len(args))
		}
		where += ` AND (` + found + `)`
	}
	return scanAll(q.Query(ctx, `SELECT `+columns+` FROM orders WHERE `+where+` ORDER BY created_at DESC, id DESC LIMIT $3`, args...))
}

// What a name is looked for in. Names are also compared as they are written, for SQLite lowers ASCII only.
const (
	findUsersSQL = `
		SELECT id FROM orders_users
		WHERE LOWER(username) LIKE $1 ESCAPE '\' OR username LIKE $2 ESCAPE '\' OR LOWER(email) LIKE $1 ESCAPE '\'
		ORDER BY id DESC LIMIT $3`
	findProductsSQL = `
		SELECT id FROM orders_products
		WHERE LOWER(name) LIKE $1 ESCAPE '\' OR name LIKE $2 ESCAPE '\'
		ORDER BY id DESC LIMIT $3`
)

// find reads the ids of the newest users or products that have a text in their names.
func find(ctx context.Context, q db.Querier, statement, text string, limit int) ([]string, error) {
	escape := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
	pattern := "%" + escape.Replace(text) + "%"
	rows, err := q.Query(ctx, statement, strings.ToLower(pattern), pattern, limit)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var found string
		if err := rows.Scan(&found); err != nil {
			return nil, fmt.Errorf("search: %w", err)
		}
		ids = append(ids, found)
	}
	return ids, rows.Err()
}

const keepUserSQL = `
	INSERT INTO orders_users (id, username, email) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`

// keepUser keeps a user's names; the first ones stay.
func keepUser(ctx context.Context, tx *db.Tx, userID, username, email string) error {
	if _, err := tx.Exec(ctx, keepUserSQL, userID, username, email); err != nil {
		return fmt.Errorf("keep user %s: %w", userID, err)
	}
	return nil
}

const (
	keepProductSQL = `
		INSERT INTO orders_products (id, name, stock, deleted, version) VALUES ($1, $2, $3, FALSE, $4)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name`
	keepStockSQL = `
		INSERT INTO orders_products (id, name, stock, deleted, version) VALUES ($1, '', $2, $3, $4)
		ON CONFLICT (id) DO UPDATE SET stock = excluded.stock, deleted = excluded.deleted, version = excluded.version
		WHERE orders_products.version < excluded.version`
)

// keepProduct keeps a product's name, and its stock unless a later one is known.
func keepProduct(ctx context.Context, tx *db.Tx, productID, name string, stock, version int64) error {
	if _, err := tx.Exec(ctx, keepProductSQL, productID, name, stock, version); err != nil {
		return fmt.Errorf("keep product %s: %w", productID, err)
	}
	return nil
}

// keepStock keeps a product's stock unless a later one is known.
func keepStock(ctx context.Context, tx *db.Tx, productID string, stock int64, deleted bool, version int64) error {
	if _, err := tx.Exec(ctx, keepStockSQL, productID, stock, deleted, version); err != nil {
		return fmt.Errorf("keep the stock of %s: %w", productID, err)
	}
	return nil
}

// anys are texts as arguments of a statement.
func anys(texts []string) []any {
	args := make([]any, len(texts))
	for i, text := range texts {
		args[i] = text
	}
	return args
}
