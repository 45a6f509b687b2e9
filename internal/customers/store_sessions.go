package customers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"m3o/internal/customers/customersapi"
	"m3o/internal/db"
	"m3o/internal/id"
)

// tokens are a session's two secrets and how long they live.
type tokens struct {
	access, refresh                        string
	created, accessExpires, refreshExpires time.Time
}

func (t tokens) public() customersapi.Token {
	return customersapi.Token{AccessToken: t.access, RefreshToken: t.refresh,
		Created: t.created.Unix(), Expiry: t.accessExpires.Unix()}
}

const openSessionSQL = `
	INSERT INTO customers_sessions (id, customer_id, access, refresh, access_expires, refresh_expires, created_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7)`

// openSession opens a session with new tokens.
func openSession(ctx context.Context, tx *db.Tx, customerID string, t tokens) error {
	_, err := tx.Exec(ctx, openSessionSQL, id.New("ses"), customerID, digest(t.access), digest(t.refresh),
		db.Micro(t.accessExpires), db.Micro(t.refreshExpires), db.Micro(t.created))
	if err != nil {
		return fmt.Errorf("open a session: %w", err)
	}
	return nil
}

const (
	rotateSQL = `
		UPDATE customers_sessions SET access = $2, refresh = $3, access_expires = $4, refresh_expires = $5
		WHERE refresh = $1 AND refresh_expires > $6
		AND customer_id IN (SELECT id FROM customers WHERE status = 'verified')
		RETURNING id, customer_id`
	spendSQL = `INSERT INTO customers_spent (refresh, session_id, expires) VALUES ($1, $2, $3)`
)

// rotate replaces both tokens of the session of a refresh token, and remembers that it was used. db.ErrNoRows when no
// live session has it.
func rotate(ctx context.Context, tx *db.Tx, old string, t tokens) (customerID string, err error) {
	var session string
	err = tx.QueryRow(ctx, rotateSQL, digest(old), digest(t.access), digest(t.refresh),
		db.Micro(t.accessExpires), db.Micro(t.refreshExpires), db.Micro(t.created)).Scan(&session, &customerID)
	if err != nil {
		return "", err
	}
	_, err = tx.Exec(ctx, spendSQL, digest(old), session, db.Micro(t.refreshExpires))
	return customerID, err
}

const endReusedSQL = `
	DELETE FROM customers_sessions WHERE id IN (SELECT session_id FROM customers_spent WHERE refresh = $1)
	RETURNING id, customer_id`

// endReused ends the session whose refresh token was used before; an empty id when there is none.
func endReused(ctx context.Context, tx *db.Tx, refresh string) (session, customerID string, err error) {
	err = tx.QueryRow(ctx, endReusedSQL, digest(refresh)).Scan(&session, &customerID)
	if errors.Is(err, db.ErrNoRows) {
		return "", "", nil
	}
	return session, customerID, err
}

const endSessionSQL = `DELETE FROM customers_sessions WHERE id = $1 AND customer_id = $2`

// endSession ends one session and says whether it was there.
func endSession(ctx context.Context, tx *db.Tx, session, customerID string) (bool, error) {
	return changes(tx.Exec(ctx, endSessionSQL, session, customerID))
}

const endSessionsSQL = `DELETE FROM customers_sessions WHERE customer_id = $1`

// endSessions ends all sessions of a customer.
func endSessions(ctx context.Context, tx *db.Tx, customerID string) error {
	_, err := tx.Exec(ctx, endSessionsSQL, customerID)
	return err
}

const sessionSQL = `
	SELECT s.id, s.customer_id, c.admin, s.access_expires FROM customers_sessions s
	JOIN customers c ON c.id = s.customer_id AND c.status = 'verified'
	WHERE s.access = $1`

// session finds the session of an access token, expired or not; db.ErrNoRows when there is none.
func session(ctx context.Context, q db.Querier, access string) (s customersapi.Session, err error) {
	var expires int64
	err = q.QueryRow(ctx, sessionSQL, digest(access)).Scan(&s.ID, &s.CustomerID, &s.Admin, &expires)
	s.Expires = db.Time(expires)
	return s, err
}
