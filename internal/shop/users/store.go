package users

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"m3o/internal/db"
	"m3o/internal/fault"
	"m3o/internal/page"
	"m3o/internal/shop/users/usersapi"
)

// record is a user as stored.
type record struct {
	usersapi.User
	password string // PHC
	version  int64  // of the tokens that are good
}

const columns = `id, email, username, type, password, token_version, created_at`

type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (r record, err error) {
	var created int64
	err = row.Scan(&r.ID, &r.Email, &r.Username, &r.Type, &r.password, &r.version, &created)
	r.CreatedAt = db.Time(created)
	return r, err
}

// one reads a single user; none is fault.NotFound.
func one(ctx context.Context, q db.Querier, query string, args ...any) (record, error) {
	r, err := scan(q.QueryRow(ctx, query, args...))
	switch {
	case errors.Is(err, db.ErrNoRows):
		return record{}, fault.New(fault.NotFound, "there is no such user")
	case err != nil:
		return record{}, fmt.Errorf("read a user: %w", err)
	}
	return r, nil
}

const (
	byIDSQL    = `SELECT ` + columns + ` FROM users WHERE id = $1`
	byEmailSQL = `SELECT ` + columns + ` FROM users WHERE email = $1`
	byTokenSQL = `SELECT ` + columns + ` FROM users WHERE id = $1 AND token_version = $2
		AND NOT EXISTS (SELECT 1 FROM users_revoked WHERE users_revoked.id = $3)`
)

func byID(ctx context.Context, q db.Querier, id string) (record, error) {
	return one(ctx, q, byIDSQL, id)
}

func byEmail(ctx context.Context, q db.Querier, email string) (record, error) {
	return one(ctx, q, byEmailSQL, email)
}

// byToken finds the user of a token; fault.NotFound when it was revoked.
func byToken(ctx context.Context, q db.Querier, c claims) (record, error) {
	return one(ctx, q, byTokenSQL, c.UserID, c.Version, c.ID)
}

const byIDsSQL = `SELECT ` + columns + ` FROM users WHERE id IN (`

func byIDs(ctx context.Context, q db.Querier, ids []string) ([]usersapi.User, error) {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	return many(ctx, q, byIDsSQL+db.In(1, len(ids))+`)`, args...)
}

const listSQL = `
	SELECT ` + columns + ` FROM users
	WHERE (email LIKE $1 ESCAPE '\' OR LOWER(username) LIKE $1 ESCAPE '\' OR username LIKE $2 ESCAPE '\')
	AND (created_at, id) < ($3, $4)
	ORDER BY created_at DESC, id DESC LIMIT $5`

// list reads up to limit users before the cursor, newest first. The name is also compared as it is written, for SQLite
// lowers ASCII only.
func list(ctx context.Context, q db.Querier, search string, from page.Cursor, limit int) ([]usersapi.User, error) {
	escape := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
	pattern := "%" + escape.Replace(search) + "%"
	if from == (page.Cursor{}) {
		from.Time = math.MaxInt64
	}
	return many(ctx, q, listSQL, strings.ToLower(pattern), pattern, from.Time, from.ID, limit)
}

func many(ctx context.Context, q db.Querier, query string, args ...any) (found []usersapi.User, err error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read users: %w", err)
		}
		found = append(found, r.User)
	}
	return found, rows.Err()
}

const insertSQL = `
	INSERT INTO users (id, email, username, type, password, token_version, created_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (email) DO NOTHING`

// insert adds a user; fault.Conflict when the address has one.
func insert(ctx context.Context, tx *db.Tx, r record) error {
	added, err := changes(tx.Exec(ctx, insertSQL, r.ID, r.Email, r.Username, r.Type, r.password, r.version, db.Micro(r.CreatedAt)))
	if err == nil && !added {
		return fault.New(fault.Conflict, "there is a user with this e-mail address: log in, or use another one")
	}
	return err
}

const setTypeSQL = `UPDATE users SET type = $2, token_version = token_version + 1 WHERE id = $1 AND type <> $2`

// setType changes the type and revokes the tokens, and says whether it was another.
func setType(ctx context.Context, tx *db.Tx, id string, userType int) (bool, error) {
	return changes(tx.Exec(ctx, setTypeSQL, id, userType))
}

const setPasswordSQL = `UPDATE users SET password = $2, token_version = token_version + 1 WHERE id = $1 AND password = $3`

// setPassword replaces the password that r was read with and revokes the tokens. False: it has become another since.
func setPassword(ctx context.Context, tx *db.Tx, r record, hash string) (bool, error) {
	return changes(tx.Exec(ctx, setPasswordSQL, r.ID, hash, r.password))
}

const revokeSQL = `INSERT INTO users_revoked (id, expires) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`

// revoke refuses a token from now on. One that was revoked stays so.
func revoke(ctx context.Context, tx *db.Tx, tokenID string, expires time.Time) error {
	_, err := changes(tx.Exec(ctx, revokeSQL, tokenID, db.Micro(expires)))
	return err
}

const sweepSQL = `DELETE FROM users_revoked WHERE expires <= $1`

func sweep(ctx context.Context, d *db.DB, now time.Time) error {
	_, err := changes(d.Exec(ctx, sweepSQL, db.Micro(now)))
	return err
}

// changes tells whether a statement changed a row.
func changes(res interface{ RowsAffected() (int64, error) }, err error) (bool, error) {
	if err != nil {
		return false, fmt.Errorf("write users: %w", err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}
