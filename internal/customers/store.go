package customers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"m3o/internal/customers/customersapi"
	"m3o/internal/db"
	"m3o/internal/fault"
	"m3o/internal/page"
)

// record is a customer as stored.
type record struct {
	customersapi.Customer
	Admin    bool
	Password string // PHC, empty: none
	created  int64  // Unix microseconds
}

// account is r as M3O's clients know the one who calls.
func (r record) account() customersapi.Account {
	a := customersapi.Account{ID: r.ID, Email: r.Email, Name: r.Name, Type: "customer", Scopes: []string{"customer"}}
	if r.Admin {
		a.Type, a.Scopes = "user", []string{"admin"}
	}
	return a
}

const columns = `id, status, admin, email, name, meta, password, created_at, updated_at`

type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (r record, err error) {
	var meta string
	var updated int64
	if err := row.Scan(&r.ID, &r.Status, &r.Admin, &r.Email, &r.Name, &meta, &r.Password, &r.created, &updated); err != nil {
		return record{}, err
	}
	r.Created, r.Updated = db.Time(r.created).Unix(), db.Time(updated).Unix()
	return r, json.Unmarshal([]byte(meta), &r.Meta)
}

func noSuchCustomer() error {
	return fault.New(fault.NotFound, "customer not found").WithID("customers.read.notfound")
}

// one reads a single customer; none is fault.NotFound.
func one(ctx context.Context, q db.Querier, query string, args ...any) (record, error) {
	r, err := scan(q.QueryRow(ctx, query, args...))
	switch {
	case errors.Is(err, db.ErrNoRows):
		return record{}, noSuchCustomer()
	case err != nil:
		return record{}, fmt.Errorf("read a customer: %w", err)
	}
	return r, nil
}

const (
	byIDSQL  = `SELECT ` + columns + ` FROM customers WHERE id = $1`
	ownerSQL = `SELECT ` + columns + ` FROM customers WHERE email = $1 AND status <> 'deleted'`
	lastSQL  = `SELECT ` + columns + ` FROM customers WHERE email = $1
		ORDER BY CASE WHEN status = 'deleted' THEN 1 ELSE 0 END, created_at DESC, id DESC LIMIT 1`
)

// byID finds a customer in any state.
func byID(ctx context.Context, q db.Querier, id string) (record, error) {
	return one(ctx, q, byIDSQL, id)
}

// owner finds who has an address now.
func owner(ctx context.Context, q db.Querier, email string) (record, error) {
	return one(ctx, q, ownerSQL, email)
}

// last finds who has an address, or else who had it last, so that deleting by address can be repeated.
func last(ctx context.Context, q db.Querier, email string) (record, error) {
	return one(ctx, q, lastSQL, email)
}

const insertSQL = `
	INSERT INTO customers (id, status, admin, email, name, meta, password, created_at, updated_at, login_at)
	VALUES ($1, $2, $3, $4, $5, '{}', $6, $7, $7, 0)
	ON CONFLICT (email) WHERE status <> 'deleted' DO NOTHING`

// insert adds a customer unless its address has an owner, and says whether it did.
func insert(ctx context.Context, tx *db.Tx, r record, now time.Time) (bool, error) {
	return changes(tx.Exec(ctx, insertSQL, r.ID, r.Status, r.Admin, r.Email, r.Name, r.Password, db.Micro(now)))
}

const renameSQL = `
	UPDATE customers SET name = $2, updated_at = $3
	WHERE id = $1 AND status <> 'deleted' RETURNING ` + columns

// rename changes the display name; fault.NotFound for a deleted customer.
func rename(ctx context.Context, tx *db.Tx, id, name string, now time.Time) (record, error) {
	return one(ctx, tx, renameSQL, id, name, db.Micro(now))
}

const updateSQL = `
	UPDATE customers SET email = COALESCE(NULLIF($2, ''), email), name = COALESCE(NULLIF($3, ''), name),
		meta = COALESCE(NULLIF($4, ''), meta), updated_at = $5
	WHERE id = $1 AND status <> 'deleted' RETURNING ` + columns

// update changes those of address, name and meta that c has; fault.NotFound for a deleted customer, fault.Conflict for
// an address that another has.
func update(ctx context.Context, tx *db.Tx, c customersapi.Customer, now time.Time) (record, error) {
	meta := ""
	if len(c.Meta) > 0 {
		text, err := json.Marshal(c.Meta)
		if err != nil {
			return record{}, fmt.Errorf("update customer %s: %w", c.ID, err)
		}
		meta = string(text)
	}
	r, err := one(ctx, tx, updateSQL, c.ID, c.Email, c.Name, meta, db.Micro(now))
	if db.IsUnique(err) {
		return record{}, fault.New(fault.Conflict, "another customer has the address %s", c.Email)
	}
	return r, err
}

const verifySQL = `
	UPDATE customers SET status = 'verified', password = $2, updated_at = $3
	WHERE email = $1 AND status = 'unverified' RETURNING ` + columns

// verify makes the owner of an address verified, with a password; fault.NotFound when nobody waits for it.
func verify(ctx context.Context, tx *db.Tx, email, password string, now time.Time) (record, error) {
	return one(ctx, tx, verifySQL, email, password, db.Micro(now))
}

const resetSQL = `
	UPDATE customers SET password = $2, updated_at = $3
	WHERE email = $1 AND status = 'verified' RETURNING ` + columns

// reset replaces a verified customer's password; fault.NotFound when there is none.
func reset(ctx context.Context, tx *db.Tx, email, password string, now time.Time) (record, error) {
	return one(ctx, tx, resetSQL, email, password, db.Micro(now))
}

const loginSQL = `UPDATE customers SET login_at = $3 WHERE id = $1 AND status = 'verified' AND password = $2`

// login notes a login by the password that was checked. False: since then it was changed, or the customer banned or
// deleted. It writes the row so that it comes before or after those, never in between.
func login(ctx context.Context, tx *db.Tx, r record, now time.Time) (bool, error) {
	return changes(tx.Exec(ctx, loginSQL, r.ID, r.Password, db.Micro(now)))
}

const (
	banSQL = `
		UPDATE customers SET status_before = status, status = 'banned', updated_at = $2
		WHERE id = $1 AND status IN ('unverified', 'verified')`
	unbanSQL = `
		UPDATE customers SET status = status_before, status_before = '', updated_at = $2
		WHERE id = $1 AND status = 'banned'`
	deleteSQL = `
		UPDATE customers SET status = 'deleted', status_before = '', password = '', updated_at = $2
		WHERE id = $1 AND status <> 'deleted'`
	eraseSQL = `UPDATE customers SET email = '', name = '', meta = '{}', updated_at = $2 WHERE id = $1 AND email <> ''`
)

// move runs one of the statements above and says whether the customer changed by it.
func move(ctx context.Context, tx *db.Tx, statement, id string, now time.Time) (bool, error) {
	return changes(tx.Exec(ctx, statement, id, db.Micro(now)))
}

const (
	refuseSQL  = `INSERT INTO customers_refused (address, customer_id) VALUES ($1, $2) ON CONFLICT (address) DO NOTHING`
	welcomeSQL = `DELETE FROM customers_refused WHERE customer_id = $1`
	refusedSQL = `SELECT 1 FROM customers_refused WHERE address = $1`
)

// refuse keeps an address from signing up again, also when its customer is gone.
func refuse(ctx context.Context, tx *db.Tx, r record) error {
	_, err := tx.Exec(ctx, refuseSQL, digest(r.Email), r.ID)
	return err
}

// welcome lifts what refuse did for a customer and says whether there was anything.
func welcome(ctx context.Context, tx *db.Tx, id string) (bool, error) {
	return changes(tx.Exec(ctx, welcomeSQL, id))
}

func isRefused(ctx context.Context, q db.Querier, email string) (bool, error) {
	var one int
	err := q.QueryRow(ctx, refusedSQL, digest(email)).Scan(&one)
	if errors.Is(err, db.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

const listSQL = `
		SELECT ` + columns + ` FROM customers
		WHERE (LOWER(email) LIKE $1 ESCAPE '\' OR LOWER(name) LIKE $1 ESCAPE '\' OR name LIKE $2 ESCAPE '\')
		AND (created_at, id) < ($3, $4)
		ORDER BY created_at DESC, id DESC LIMIT $5`

// list reads up to limit customers before the cursor, newest first. The name is also compared as it is written, for
// SQLite lowers ASCII only.
func list(ctx context.Context, q db.Querier, search string, from page.Cursor, limit int) ([]record, error) {
	escape := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
	pattern := "%" + escape.Replace(search) + "%"
	if from == (page.Cursor{}) {
		from.Time = math.MaxInt64
	}
	rows, err := q.Query(ctx, listSQL, strings.ToLower(pattern), pattern, from.Time, from.ID, limit)
	if err != nil {
		return nil, fmt.Errorf("list customers: %w", err)
	}
	defer rows.Close()
	var found []record
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("list customers: %w", err)
		}
		found = append(found, r)
	}
	return found, rows.Err()
}

// changes tells whether a statement changed a row.
func changes(res interface{ RowsAffected() (int64, error) }, err error) (bool, error) {
	if err != nil {
		return false, fmt.Errorf("write customers: %w", err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}
