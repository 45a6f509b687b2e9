package balance

import (
	"context"
	"fmt"
	"math"

	"m3o/internal/balance/balanceapi"
	"m3o/internal/db"
	"m3o/internal/money"
	"m3o/internal/page"
)

const openLeasesSQL = `SELECT id FROM ledger_leases WHERE customer_id = $1 AND NOT closed ORDER BY id`

// listIDs runs a query for one column of ids.
func listIDs(ctx context.Context, q db.Querier, query string, args ...any) ([]string, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var found string
		if err := rows.Scan(&found); err != nil {
			return nil, err
		}
		ids = append(ids, found)
	}
	return ids, rows.Err()
}

const snapshotSQL = `
	SELECT '' AS lease, name, balance FROM ledger_accounts WHERE owner = $1
	UNION ALL
	SELECT id, '', posted FROM ledger_leases WHERE customer_id = $1 AND NOT closed`

// snapshot reads a customer's accounts and what was posted on each of its open
// leases as of one moment, which is why it is one statement.
func snapshot(ctx context.Context, q db.Querier, customerID string) (accounts, map[string]money.Micros, error) {
	rows, err := q.Query(ctx, snapshotSQL, customerID)
	if err != nil {
		return accounts{}, nil, fmt.Errorf("read the balance of %s: %w", customerID, err)
	}
	defer rows.Close()
	var a accounts
	posted := map[string]money.Micros{}
	for rows.Next() {
		var leaseID, name string
		var amount int64
		if err := rows.Scan(&leaseID, &name, &amount); err != nil {
			return accounts{}, nil, err
		}
		if leaseID != "" {
			posted[leaseID] = money.Micros(amount)
		} else {
			a.set(name, money.Micros(amount))
		}
	}
	return a, posted, rows.Err()
}

const listAdjustmentsSQL = `
	SELECT t.id, t.reference, t.kind, t.actor, t.created_at, CAST(SUM(e.amount) AS BIGINT)
	FROM ledger_transfers t JOIN ledger_entries e ON e.transfer_id = t.id
	WHERE e.owner = $1 AND t.kind IN ('signup', 'adjustment', 'transfer', 'writeoff') AND (t.visible OR $2)
	AND (t.created_at, t.id) > ($3, $4)
	GROUP BY t.id, t.reference, t.kind, t.actor, t.created_at ORDER BY t.created_at, t.id LIMIT $5`

// listAdjustments are the changes after a cursor, oldest first. An admin sees
// the invisible ones, and who made them.
func listAdjustments(ctx context.Context, q db.Querier, customerID string, admin bool, after page.Cursor, limit int) ([]balanceapi.Adjustment, string, error) {
	rows, err := q.Query(ctx, listAdjustmentsSQL, customerID, admin, after.Time, after.ID, limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("list adjustments: %w", err)
	}
	defer rows.Close()
	adjustments := []balanceapi.Adjustment{}
	var last page.Cursor
	for rows.Next() {
		var a balanceapi.Adjustment
		var kind, actor string
		var created, delta int64
		if err := rows.Scan(&a.ID, &a.Reference, &kind, &actor, &created, &delta); err != nil {
			return nil, "", err
		}
		if len(adjustments) == limit {
			return adjustments, last.String(), rows.Err()
		}
		last = page.Cursor{Time: created, ID: a.ID}
		a.Created, a.Delta, a.Meta = db.Time(created).Unix(), money.Micros(delta), map[string]string{"kind": kind}
		if admin {
			a.Meta["actor"] = actor
		}
		adjustments = append(adjustments, a)
	}
	return adjustments, "", rows.Err()
}

const listEntriesSQL = `
	SELECT e.id, e.transfer_id, t.kind, e.account, e.amount, e.balance, t.reference, e.created_at
	FROM ledger_entries e JOIN ledger_transfers t ON t.id = e.transfer_id
	WHERE e.owner = $1 AND (e.created_at, e.id) < ($2, $3) ORDER BY e.created_at DESC, e.id DESC LIMIT $4`

// listEntries are the entries before a cursor, newest first.
func listEntries(ctx context.Context, q db.Querier, customerID string, before page.Cursor, limit int) ([]balanceapi.Entry, string, error) {
	if before == (page.Cursor{}) {
		before.Time = math.MaxInt64
	}
	rows, err := q.Query(ctx, listEntriesSQL, customerID, before.Time, before.ID, limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("list entries: %w", err)
	}
	defer rows.Close()
	entries := []balanceapi.Entry{}
	var last page.Cursor
	for rows.Next() {
		var e balanceapi.Entry
		var entryID string
		var amount, balance, created int64
		if err := rows.Scan(&entryID, &e.ID, &e.Kind, &e.Account, &amount, &balance, &e.Reference, &created); err != nil {
			return nil, "", err
		}
		if len(entries) == limit {
			return entries, last.String(), rows.Err()
		}
		last = page.Cursor{Time: created, ID: entryID}
		e.Amount, e.Balance, e.Time = money.Micros(amount), money.Micros(balance), db.Time(created)
		entries = append(entries, e)
	}
	return entries, "", rows.Err()
}
