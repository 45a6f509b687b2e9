package keys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"m3o/internal/db"
	"m3o/internal/fault"
	"m3o/internal/keys/keysapi"
)

// row is a key as stored.
type row struct {
	id, customerID    string
	hash, prefix      string
	description       string
	scopes            []string
	rate              int
	expires, created  time.Time
	lastSeen, revoked time.Time // zero: never
}

func (r row) shown(blocked []keysapi.Block) keysapi.Key {
	key := keysapi.Key{
		ID: r.id, Description: r.description, CreatedTime: r.created.Unix(), Scopes: r.scopes,
		Prefix: r.prefix, Blocked: blocked, Rate: r.rate,
	}
	if key.Blocked == nil {
		key.Blocked = []keysapi.Block{}
	}
	if !r.lastSeen.IsZero() {
		key.LastSeen = r.lastSeen.Unix()
	}
	if !r.expires.IsZero() {
		key.Expires = &r.expires
	}
	return key
}

const countSQL = `
	INSERT INTO keys_owners (customer_id, live) VALUES ($1, 1)
	ON CONFLICT (customer_id) DO UPDATE SET live = keys_owners.live + 1 WHERE keys_owners.live < $2`

const addSQL = `
	INSERT INTO keys (id, customer_id, hash, prefix, description, scopes, rate, expires_at, created_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`

// add stores a key, or is fault.Conflict when its customer has as many as allowed.
func add(ctx context.Context, tx *db.Tx, r row) error {
	counted, err := affected(tx.Exec(ctx, countSQL, r.customerID, maxKeys))
	if err != nil {
		return fmt.Errorf("count the keys of %s: %w", r.customerID, err)
	}
	if counted == 0 {
		return fault.New(fault.Conflict, "you have %d keys already: revoke one first", maxKeys).WithID(generateID)
	}
	scopes, err := json.Marshal(r.scopes)
	if err != nil {
		return fmt.Errorf("store the scopes of a key: %w", err)
	}
	_, err = tx.Exec(ctx, addSQL, r.id, r.customerID, r.hash, r.prefix, r.description, string(scopes), r.rate, db.Micro(r.expires), db.Micro(r.created))
	if err != nil {
		return fmt.Errorf("store key %s: %w", r.id, err)
	}
	return nil
}

const columns = `id, customer_id, hash, prefix, description, scopes, rate, expires_at, created_at, last_seen, revoked_at`

const byHashSQL = `SELECT ` + columns + ` FROM keys WHERE hash = $1 AND revoked_at = 0`

func byHash(ctx context.Context, q db.Querier, hash string) (row, error) {
	r, err := scan(q.QueryRow(ctx, byHashSQL, hash))
	if errors.Is(err, db.ErrNoRows) {
		return r, fault.New(fault.NotFound, "there is no such key")
	}
	if err != nil {
		return r, fmt.Errorf("look up a key: %w", err)
	}
	return r, nil
}

const ofCustomerSQL = `
	SELECT ` + columns + ` FROM keys WHERE customer_id = $1 AND revoked_at = 0
	ORDER BY created_at DESC, id DESC`

func ofCustomer(ctx context.Context, q db.Querier, customerID string) ([]row, error) {
	rows, err := q.Query(ctx, ofCustomerSQL, customerID)
	if err != nil {
		return nil, fmt.Errorf("list the keys of %s: %w", customerID, err)
	}
	defer rows.Close()
	var found []row
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("list the keys of %s: %w", customerID, err)
		}
		found = append(found, r)
	}
	return found, rows.Err()
}

func scan(from interface{ Scan(...any) error }) (r row, err error) {
	var scopes string
	var expires, created, seen, revoked int64
	err = from.Scan(&r.id, &r.customerID, &r.hash, &r.prefix, &r.description, &scopes, &r.rate, &expires, &created, &seen, &revoked)
	if err != nil {
		return r, err
	}
	r.expires, r.created, r.lastSeen, r.revoked = db.Time(expires), db.Time(created), db.Time(seen), db.Time(revoked)
	return r, json.Unmarshal([]byte(scopes), &r.scopes)
}

const revokeSQL = `UPDATE keys SET revoked_at = $3 WHERE customer_id = $1 AND id = $2 AND revoked_at = 0`

const uncountSQL = `UPDATE keys_owners SET live = live - 1 WHERE customer_id = $1`

// revoke ends a live key of a customer, or is fault.NotFound.
func revoke(ctx context.Context, tx *db.Tx, customerID, keyID string, now time.Time) error {
	revoked, err := affected(tx.Exec(ctx, revokeSQL, customerID, keyID, db.Micro(now)))
	if err != nil {
		return fmt.Errorf("revoke key %s: %w", keyID, err)
	}
	if revoked == 0 {
		return fault.New(fault.NotFound, "Not found").WithID(revokeID)
	}
	if _, err := tx.Exec(ctx, uncountSQL, customerID); err != nil {
		return fmt.Errorf("count the keys of %s: %w", customerID, err)
	}
	return nil
}

const liveKeysSQL = `
	SELECT id FROM keys WHERE customer_id = $1 AND revoked_at = 0 AND ($2 = '' OR id = $2)
	ORDER BY created_at, id`

// liveKeys are the ids of a customer's live keys: the one that is named, which
// must be there, or all.
func liveKeys(ctx context.Context, q db.Querier, customerID, keyID string) ([]string, error) {
	rows, err := q.Query(ctx, liveKeysSQL, customerID, keyID)
	if err != nil {
		return nil, fmt.Errorf("find the keys of %s: %w", customerID, err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var found string
		if err := rows.Scan(&found); err != nil {
			return nil, fmt.Errorf("find the keys of %s: %w", customerID, err)
		}
		ids = append(ids, found)
	}
	if keyID != "" && len(ids) == 0 && rows.Err() == nil {
		return nil, fault.New(fault.NotFound, "customer %s has no key %s", customerID, keyID)
	}
	return ids, rows.Err()
}

const blockSQL = `
	INSERT INTO keys_blocks (key_id, reason, message, created_at) VALUES ($1, $2, $3, $4)
	ON CONFLICT (key_id, reason) DO UPDATE SET message = excluded.message`

func block(ctx context.Context, tx *db.Tx, keyID string, b keysapi.Block, now time.Time) error {
	if _, err := tx.Exec(ctx, blockSQL, keyID, b.Reason, b.Message, db.Micro(now)); err != nil {
		return fmt.Errorf("block key %s: %w", keyID, err)
	}
	return nil
}

const unblockSQL = `DELETE FROM keys_blocks WHERE key_id = $1 AND reason = $2`

// unblock lifts one reason and says whether it was there.
func unblock(ctx context.Context, tx *db.Tx, keyID, reason string) (was bool, err error) {
	n, err := affected(tx.Exec(ctx, unblockSQL, keyID, reason))
	if err != nil {
		return false, fmt.Errorf("unblock key %s: %w", keyID, err)
	}
	return n > 0, nil
}

const blocksOfKeySQL = `SELECT key_id, reason, message FROM keys_blocks WHERE key_id = $1 ORDER BY reason`

func blocksOfKey(ctx context.Context, q db.Querier, keyID string) ([]keysapi.Block, error) {
	found, err := blocks(ctx, q, blocksOfKeySQL, keyID)
	return found[keyID], err
}

const blocksOfSQL = `
	SELECT b.key_id, b.reason, b.message FROM keys_blocks b JOIN keys k ON k.id = b.key_id
	WHERE k.customer_id = $1 AND k.revoked_at = 0 ORDER BY b.key_id, b.reason`

// blocksOf are the blocks of all live keys of a customer, by key.
func blocksOf(ctx context.Context, q db.Querier, customerID string) (map[string][]keysapi.Block, error) {
	return blocks(ctx, q, blocksOfSQL, customerID)
}

func blocks(ctx context.Context, q db.Querier, query, arg string) (map[string][]keysapi.Block, error) {
	rows, err := q.Query(ctx, query, arg)
	if err != nil {
		return nil, fmt.Errorf("read the blocks of %s: %w", arg, err)
	}
	defer rows.Close()
	found := map[string][]keysapi.Block{}
	for rows.Next() {
		var key string
		var b keysapi.Block
		if err := rows.Scan(&key, &b.Reason, &b.Message); err != nil {
			return nil, fmt.Errorf("read the blocks of %s: %w", arg, err)
		}
		found[key] = append(found[key], b)
	}
	return found, rows.Err()
}

const touchSQL = `UPDATE keys SET last_seen = $2 WHERE id = $1 AND last_seen < $2`

func touch(ctx context.Context, tx *db.Tx, seen keysapi.Seen) error {
	if _, err := tx.Exec(ctx, touchSQL, seen.KeyID, db.Micro(seen.Time)); err != nil {
		return fmt.Errorf("note the use of key %s: %w", seen.KeyID, err)
	}
	return nil
}

const (
	dropBlocksSQL = `DELETE FROM keys_blocks WHERE key_id IN (SELECT id FROM keys WHERE customer_id = $1)`
	dropKeysSQL   = `DELETE FROM keys WHERE customer_id = $1`
	dropOwnerSQL  = `DELETE FROM keys_owners WHERE customer_id = $1`
)

// drop deletes everything of a customer.
func drop(ctx context.Context, tx *db.Tx, customerID string) error {
	for _, query := range []string{dropBlocksSQL, dropKeysSQL, dropOwnerSQL} {
		if _, err := tx.Exec(ctx, query, customerID); err != nil {
			return fmt.Errorf("delete the keys of %s: %w", customerID, err)
		}
	}
	return nil
}

// affected is how many rows a statement changed.
func affected(res interface{ RowsAffected() (int64, error) }, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}
