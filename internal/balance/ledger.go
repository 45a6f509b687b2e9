package balance

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"m3o/internal/db"
	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/money"
)

// house owns the accounts that are not a customer's.
const house = "house"

// The names of accounts.
const (
	available  = "available"  // a customer's money that may be spent or leased
	leased     = "leased"     // a customer's money that gateways hold
	receivable = "receivable" // what a customer owes; zero or below
	cash       = "cash"       // the house: what operators credit and debit
	revenue    = "revenue"    // the house: what calls have earned
	promo      = "promo"      // the house: what was given away
	breakage   = "breakage"   // the house: what deleted customers left behind
)

// The kinds of transfers.
const (
	kindSignUp     = "signup"
	kindAdjustment = "adjustment"
	kindTransfer   = "transfer"
	kindLease      = "lease"
	kindCharge     = "charge"
	kindRelease    = "release"
	kindRepay      = "repay"
	kindWriteOff   = "writeoff"
)

// errShort says that an account has less than a transfer takes from it.
var errShort = errors.New("the account does not hold enough")

// leg is one side of a transfer: what an account gains, or loses below zero.
type leg struct {
	owner, account string
	amount         money.Micros
}

// transfer moves money. Its legs sum to zero.
type transfer struct {
	id        string // at most once
	kind      string
	reference string // what caused it, for people
	visible   bool   // to the customer, among the adjustments
	actor     string // the account that asked for it
	at        time.Time
	legs      []leg
}

// digest tells this transfer from another one under the same id.
func (t transfer) digest() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%t\n", t.kind, t.reference, t.visible)
	for _, l := range t.legs {
		fmt.Fprintf(&b, "%s %s %d\n", l.owner, l.account, l.amount)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:])
}

const (
	insertTransferSQL = `
	INSERT INTO ledger_transfers (id, kind, digest, reference, visible, actor, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
	ON CONFLICT (id) DO NOTHING`
	digestSQL      = `SELECT digest FROM ledger_transfers WHERE id = $1`
	insertEntrySQL = `
	INSERT INTO ledger_entries (id, transfer_id, owner, account, amount, balance, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`
)

// post applies a transfer. applied is false when it had been applied before.
// errShort means that a customer's account would go below zero, and that the
// transaction must be given up.
func post(ctx context.Context, tx *db.Tx, t transfer) (applied bool, err error) {
	t.legs = slices.DeleteFunc(t.legs, func(l leg) bool { return l.amount == 0 })
	if err := balanced(t.legs); err != nil {
		return false, fmt.Errorf("post %s: %w", t.id, err)
	}
	result, err := tx.Exec(ctx, insertTransferSQL, t.id, t.kind, t.digest(), t.reference, t.visible, t.actor, db.Micro(t.at))
	if err != nil {
		return false, fmt.Errorf("post %s: %w", t.id, err)
	}
	if n, err := result.RowsAffected(); err != nil {
		return false, err
	} else if n == 0 {
		return false, same(ctx, tx, t)
	}
	// One order of locks for all: customers before the house, revenue last.
	slices.SortFunc(t.legs, func(a, b leg) int {
		return strings.Compare(a.owner+" "+a.account, b.owner+" "+b.account)
	})
	for _, l := range t.legs {
		balance, err := move(ctx, tx, l)
		if err != nil {
			return false, fmt.Errorf("post %s: %s of %s: %w", t.id, l.account, l.owner, err)
		}
		if _, err := tx.Exec(ctx, insertEntrySQL, id.New("ent"), t.id, l.owner, l.account, int64(l.amount), int64(balance), db.Micro(t.at)); err != nil {
			return false, fmt.Errorf("post %s: %w", t.id, err)
		}
	}
	return true, nil
}

// balanced holds every transfer to double entry.
func balanced(legs []leg) error {
	var sum money.Micros
	var err error
	for _, l := range legs {
		if sum, err = sum.Add(l.amount); err != nil {
			return err
		}
	}
	if sum != 0 {
		return fmt.Errorf("the legs sum to %d, not to zero", sum)
	}
	return nil
}

const isAppliedSQL = `SELECT COUNT(*) FROM ledger_transfers WHERE id = $1`

// isApplied says whether a transfer has been applied.
func isApplied(ctx context.Context, q db.Querier, transferID string) (bool, error) {
	var n int64
	if err := q.QueryRow(ctx, isAppliedSQL, transferID).Scan(&n); err != nil {
		return false, fmt.Errorf("look for transfer %s: %w", transferID, err)
	}
	return n > 0, nil
}

// same accepts a transfer that was applied before, if it is the same one.
func same(ctx context.Context, tx *db.Tx, t transfer) error {
	var digest string
	if err := tx.QueryRow(ctx, digestSQL, t.id).Scan(&digest); err != nil {
		return fmt.Errorf("read transfer %s: %w", t.id, err)
	}
	if digest != t.digest() {
		return fault.New(fault.Unprocessable, "this idempotency_key was used for another transfer: send a new one")
	}
	return nil
}

const (
	addSQL = `
	INSERT INTO ledger_accounts (owner, name, balance) VALUES ($1, $2, $3)
	ON CONFLICT (owner, name) DO UPDATE SET balance = ledger_accounts.balance + excluded.balance RETURNING balance`
	takeSQL = `
	UPDATE ledger_accounts SET balance = balance + $3 WHERE owner = $1 AND name = $2 AND balance + $3 >= 0 RETURNING balance`
	repaySQL = `
	UPDATE ledger_accounts SET balance = balance + $3 WHERE owner = $1 AND name = $2 AND balance + $3 <= 0 RETURNING balance`
)

// move changes one account and says its new balance.
func move(ctx context.Context, tx *db.Tx, l leg) (money.Micros, error) {
	statement := addSQL
	switch {
	case l.owner == house:
	case l.account == receivable && l.amount > 0:
		statement = repaySQL
	case l.account != receivable && l.amount < 0:
		statement = takeSQL
	}
	var balance int64
	err := tx.QueryRow(ctx, statement, l.owner, l.account, int64(l.amount)).Scan(&balance)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, errShort
	}
	return money.Micros(balance), err
}

// accounts are the balances of one customer.
type accounts struct{ available, leased, receivable money.Micros }

// total is what the customer has: what it owes taken off.
func (a accounts) total() money.Micros { return a.available + a.leased + a.receivable }

const accountsSQL = `SELECT name, balance FROM ledger_accounts WHERE owner = $1`

func readAccounts(ctx context.Context, q db.Querier, customerID string) (accounts, error) {
	rows, err := q.Query(ctx, accountsSQL, customerID)
	if err != nil {
		return accounts{}, fmt.Errorf("read the accounts of %s: %w", customerID, err)
	}
	defer rows.Close()
	var a accounts
	for rows.Next() {
		var name string
		var balance int64
		if err := rows.Scan(&name, &balance); err != nil {
			return accounts{}, err
		}
		a.set(name, money.Micros(balance))
	}
	return a, rows.Err()
}

func (a *accounts) set(name string, balance money.Micros) {
	switch name {
	case available:
		a.available = balance
	case leased:
		a.leased = balance
	case receivable:
		a.receivable = balance
	}
}

const lockAvailableSQL = `
	UPDATE ledger_accounts SET balance = balance WHERE owner = $1 AND name = 'available' RETURNING balance`

// lockAvailable holds a customer's available account until the transaction ends.
func lockAvailable(ctx context.Context, tx *db.Tx, customerID string) (money.Micros, error) {
	var balance int64
	err := tx.QueryRow(ctx, lockAvailableSQL, customerID).Scan(&balance)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("lock the balance of %s: %w", customerID, err)
	}
	return money.Micros(balance), nil
}

const (
	sumSQL      = `SELECT CAST(COALESCE(SUM(balance), 0) AS BIGINT) FROM ledger_accounts`
	mismatchSQL = `
	SELECT COUNT(*) FROM ledger_accounts a WHERE a.balance <>
	(SELECT CAST(COALESCE(SUM(e.amount), 0) AS BIGINT) FROM ledger_entries e WHERE e.owner = a.owner AND e.account = a.name)`
)

// audited reads the sum of all accounts, and how many of them are not the sum of
// their entries. Both are zero unless the ledger is broken.
func audited(ctx context.Context, q db.Querier) (sum money.Micros, mismatches int64, err error) {
	var total int64
	if err := q.QueryRow(ctx, sumSQL).Scan(&total); err != nil {
		return 0, 0, fmt.Errorf("sum the accounts: %w", err)
	}
	if err := q.QueryRow(ctx, mismatchSQL).Scan(&mismatches); err != nil {
		return 0, 0, fmt.Errorf("compare accounts with entries: %w", err)
	}
	return money.Micros(total), mismatches, nil
}
