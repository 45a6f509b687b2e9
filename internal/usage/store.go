package usage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"m3o/internal/db"
	"m3o/internal/money"
	"m3o/internal/usage/usageapi"
)

const lockLeaseSQL = `
	INSERT INTO usage_leases (lease_id, customer_id, charged, closed) VALUES ($1, $2, 0, FALSE)
	ON CONFLICT (lease_id) DO UPDATE SET charged = usage_leases.charged WHERE NOT usage_leases.closed`

// lockLeases holds the leases of money that calls are charged on until the
// transaction ends, and says which of them are closed.
func lockLeases(ctx context.Context, tx *db.Tx, calls []usageapi.Call) (map[string]bool, error) {
	owners := map[string]string{}
	for _, call := range calls {
		if call.Lease != "" {
			owners[call.Lease] = call.CustomerID
		}
	}
	closed := map[string]bool{}
	for _, lease := range sorted(owners) {
		result, err := tx.Exec(ctx, lockLeaseSQL, lease, owners[lease])
		if err != nil {
			return nil, fmt.Errorf("lock lease %s: %w", lease, err)
		}
		if n, err := result.RowsAffected(); err != nil {
			return nil, err
		} else if n == 0 {
			closed[lease] = true
		}
	}
	return closed, nil
}

const (
	addDaySQL = `
	INSERT INTO usage_days (customer_id, day, service, endpoint, requests) VALUES ($1, $2, $3, $4, $5)
	ON CONFLICT (customer_id, day, service, endpoint) DO UPDATE SET requests = usage_days.requests + excluded.requests`
	addFreeSQL = `
	INSERT INTO usage_free (customer_id, month, requests) VALUES ($1, $2, $3)
	ON CONFLICT (customer_id, month) DO UPDATE SET requests = usage_free.requests + excluded.requests`
	addQuotaSQL  = `UPDATE usage_quota_leases SET used = used + $2 WHERE id = $1`
	addChargeSQL = `UPDATE usage_leases SET charged = charged + $2 WHERE lease_id = $1`
)

// addCounters adds sums to every counter, each table in the order of its keys.
func addCounters(ctx context.Context, tx *db.Tx, s sums) error {
	days := make([]dayKey, 0, len(s.days))
	for key := range s.days {
		days = append(days, key)
	}
	slices.SortFunc(days, func(a, b dayKey) int {
		return slices.Compare([]string{a.customerID, a.day, a.service, a.endpoint}, []string{b.customerID, b.day, b.service, b.endpoint})
	})
	for _, key := range days {
		if _, err := tx.Exec(ctx, addDaySQL, key.customerID, key.day, key.service, key.endpoint, s.days[key]); err != nil {
			return fmt.Errorf("count a day: %w", err)
		}
	}
	months := make([]monthKey, 0, len(s.free))
	for key := range s.free {
		months = append(months, key)
	}
	slices.SortFunc(months, func(a, b monthKey) int {
		return slices.Compare([]string{a.customerID, a.month}, []string{b.customerID, b.month})
	})
	for _, key := range months {
		if _, err := tx.Exec(ctx, addFreeSQL, key.customerID, key.month, s.free[key]); err != nil {
			return fmt.Errorf("count free calls: %w", err)
		}
	}
	for _, lease := range sorted(s.quotas) {
		if _, err := tx.Exec(ctx, addQuotaSQL, lease, s.quotas[lease]); err != nil {
			return fmt.Errorf("count a quota: %w", err)
		}
	}
	for _, customerID := range sorted(s.charges) {
		for _, lease := range sorted(s.charges[customerID]) {
			amount := s.charges[customerID][lease].amount
			if lease == "" || amount == 0 {
				continue
			}
			if _, err := tx.Exec(ctx, addChargeSQL, lease, int64(amount)); err != nil {
				return fmt.Errorf("charge lease %s: %w", lease, err)
			}
		}
	}
	return nil
}

const closeLeaseSQL = `
	INSERT INTO usage_leases (lease_id, customer_id, charged, closed) VALUES ($1, '', 0, TRUE)
	ON CONFLICT (lease_id) DO UPDATE SET closed = TRUE RETURNING charged`

// closeLease puts up the fence and says what was charged before it.
func closeLease(ctx context.Context, tx *db.Tx, leaseID string) (money.Micros, error) {
	var total int64
	if err := tx.QueryRow(ctx, closeLeaseSQL, leaseID).Scan(&total); err != nil {
		return 0, fmt.Errorf("close lease %s: %w", leaseID, err)
	}
	return money.Micros(total), nil
}

const chargedSQL = `SELECT lease_id, charged FROM usage_leases WHERE lease_id IN (%s)`

// charged is what was charged on each of the leases, 0 where nothing was.
func charged(ctx context.Context, q db.Querier, leases []string) (map[string]int64, error) {
	totals := map[string]int64{}
	if len(leases) == 0 {
		return totals, nil
	}
	args := make([]any, len(leases))
	for i, lease := range leases {
		args[i], totals[lease] = lease, 0
	}
	rows, err := q.Query(ctx, fmt.Sprintf(chargedSQL, db.In(1, len(leases))), args...)
	if err != nil {
		return nil, fmt.Errorf("read what leases were charged: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var lease string
		var total int64
		if err := rows.Scan(&lease, &total); err != nil {
			return nil, err
		}
		totals[lease] = total
	}
	return totals, rows.Err()
}

const (
	lockAllowanceSQL = `
	INSERT INTO usage_allowances (customer_id, month, name, leases) VALUES ($1, $2, $3, 1)
	ON CONFLICT (customer_id, month, name) DO UPDATE SET leases = usage_allowances.leases + 1`
	// One statement, so that a call which is recorded meanwhile is either held or used.
	allottedSQL = `
	SELECT CAST(COALESCE((SELECT SUM(CASE WHEN granted > used THEN granted - used ELSE 0 END) FROM usage_quota_leases
		WHERE customer_id = $1 AND month = $2 AND name = $3 AND expires_at > $4), 0)
	+ COALESCE((SELECT SUM(requests) FROM usage_free WHERE customer_id = $1 AND month = $2 AND $3 = 'free'), 0)
	+ COALESCE((SELECT SUM(requests) FROM usage_days WHERE customer_id = $1 AND day >= $5 AND day < $6 AND endpoint = $7), 0) AS BIGINT)`
)

// lockAllowance holds an allowance until the transaction ends and says how much
// of it is used or held by somebody.
func lockAllowance(ctx context.Context, tx *db.Tx, customerID, name string, now time.Time) (int64, error) {
	if _, err := tx.Exec(ctx, lockAllowanceSQL, customerID, month(now), name); err != nil {
		return 0, fmt.Errorf("lock allowance %s: %w", name, err)
	}
	from, to := monthBounds(now)
	var allotted int64
	err := tx.QueryRow(ctx, allottedSQL, customerID, month(now), name, db.Micro(now), from, to, endpointOf(name)).Scan(&allotted)
	if err != nil {
		return 0, fmt.Errorf("read what is taken of %s: %w", name, err)
	}
	return allotted, nil
}

const unusedByOthersSQL = `
	SELECT CAST(COALESCE(SUM(granted - used), 0) AS BIGINT) FROM usage_quota_leases
	WHERE customer_id = $1 AND month = $2 AND name = $3 AND expires_at > $4 AND granted > used AND holder <> $5`

// unusedByOthers is how much of an allowance other holders have not used up, as far as
// that is known here.
func unusedByOthers(ctx context.Context, tx *db.Tx, r usageapi.QuotaRequest, now time.Time) (units int64, err error) {
	err = tx.QueryRow(ctx, unusedByOthersSQL, r.CustomerID, month(now), r.Name, db.Micro(now), r.Holder).Scan(&units)
	if err != nil {
		return 0, fmt.Errorf("add up what others hold of %s: %w", r.Name, err)
	}
	return units, nil
}

const (
	grantedSQL = `SELECT granted, expires_at FROM usage_quota_leases WHERE id = $1 AND customer_id = $2 AND name = $3 AND holder = $4 AND expires_at > $5`
	unheardSQL = `DELETE FROM usage_quota_leases WHERE id = $1`
)

// granted is what a request was granted when it came before; 0 when it did not, or when
// that has ended, unheard of: then it can be granted anew.
func granted(ctx context.Context, tx *db.Tx, r usageapi.QuotaRequest, now time.Time) (units int64, expires time.Time, err error) {
	var until int64
	err = tx.QueryRow(ctx, grantedSQL, r.LeaseID, r.CustomerID, r.Name, r.Holder, db.Micro(now)).Scan(&units, &until)
	if errors.Is(err, sql.ErrNoRows) {
		_, err = tx.Exec(ctx, unheardSQL, r.LeaseID)
	}
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("look for lease %s: %w", r.LeaseID, err)
	}
	return units, db.Time(until), nil
}

const insertQuotaLeaseSQL = `
	INSERT INTO usage_quota_leases (id, customer_id, month, name, granted, used, expires_at, holder) VALUES ($1, $2, $3, $4, $5, 0, $6, $7)`

func insertQuotaLease(ctx context.Context, tx *db.Tx, r usageapi.QuotaRequest, month string, lease usageapi.QuotaLease) error {
	_, err := tx.Exec(ctx, insertQuotaLeaseSQL, lease.ID, r.CustomerID, month, r.Name, lease.Granted, db.Micro(lease.Expires), r.Holder)
	if err != nil {
		return fmt.Errorf("lease allowance %s: %w", r.Name, err)
	}
	return nil
}

const (
	endQuotaLeaseSQL  = `UPDATE usage_quota_leases SET expires_at = 0 WHERE id = $1`
	keepQuotaLeaseSQL = `UPDATE usage_quota_leases SET granted = used + $2, expires_at = $3 WHERE id = $1`
)

// keepQuotaLeases cuts leases down to the units in use, and ends those without.
func keepQuotaLeases(ctx context.Context, tx *db.Tx, units map[string]int64, expires time.Time) error {
	for _, lease := range sorted(units) {
		var err error
		if n := units[lease]; n > 0 {
			_, err = tx.Exec(ctx, keepQuotaLeaseSQL, lease, n, db.Micro(expires))
		} else {
			_, err = tx.Exec(ctx, endQuotaLeaseSQL, lease)
		}
		if err != nil {
			return fmt.Errorf("keep allowance %s: %w", lease, err)
		}
	}
	return nil
}

const freeUsedSQL = `SELECT requests FROM usage_free WHERE customer_id = $1 AND month = $2`

// freeUsed is how many of the tier's free calls a month has seen.
func freeUsed(ctx context.Context, q db.Querier, customerID, month string) (int64, error) {
	var used int64
	err := q.QueryRow(ctx, freeUsedSQL, customerID, month).Scan(&used)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read free calls: %w", err)
	}
	return used, nil
}

type dayRow struct {
	day, service, endpoint string
	requests               int64
}

const listDaysSQL = `
	SELECT day, service, endpoint, requests FROM usage_days
	WHERE customer_id = $1 AND day >= $2 AND day < $3 ORDER BY day, service, endpoint`

// listDays are a customer's counters of the days in [from, to), oldest first.
func listDays(ctx context.Context, q db.Querier, customerID, from, to string) ([]dayRow, error) {
	rows, err := q.Query(ctx, listDaysSQL, customerID, from, to)
	if err != nil {
		return nil, fmt.Errorf("list days: %w", err)
	}
	defer rows.Close()
	var days []dayRow
	for rows.Next() {
		var d dayRow
		if err := rows.Scan(&d.day, &d.service, &d.endpoint, &d.requests); err != nil {
			return nil, err
		}
		days = append(days, d)
	}
	return days, rows.Err()
}

// deleteCustomer deletes everything recorded about a customer. Leases of money
// keep their fence: they are closed, and nameless.
func deleteCustomer(ctx context.Context, tx *db.Tx, customerID string) error {
	for _, statement := range []string{
		`DELETE FROM usage_packs WHERE customer_id = $1`,
		`DELETE FROM usage_marks WHERE customer_id = $1`,
		`DELETE FROM usage_days WHERE customer_id = $1`,
		`DELETE FROM usage_free WHERE customer_id = $1`,
		`DELETE FROM usage_quota_leases WHERE customer_id = $1`,
		`DELETE FROM usage_allowances WHERE customer_id = $1`,
		`UPDATE usage_leases SET closed = TRUE, customer_id = '' WHERE customer_id = $1`,
	} {
		if _, err := tx.Exec(ctx, statement, customerID); err != nil {
			return fmt.Errorf("delete the usage of %s: %w", customerID, err)
		}
	}
	return nil
}
