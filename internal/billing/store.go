package billing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"m3o/internal/billing/billingapi"
	"m3o/internal/db"
)

const tierOfSQL = `SELECT tier FROM billing WHERE customer_id = $1`

// tierOf is the tier that a customer chose, free when it never did.
func tierOf(ctx context.Context, q db.Querier, customerID string) (tier string, err error) {
	err = q.QueryRow(ctx, tierOfSQL, customerID).Scan(&tier)
	if errors.Is(err, db.ErrNoRows) {
		return billingapi.Free, nil
	}
	if err != nil {
		return "", fmt.Errorf("read the tier of %s: %w", customerID, err)
	}
	return tier, nil
}

const setTierSQL = `
	INSERT INTO billing (customer_id, tier, created_at, updated_at) VALUES ($1, $2, $3, $3)
	ON CONFLICT (customer_id) DO UPDATE SET tier = excluded.tier, updated_at = excluded.updated_at
	WHERE billing.tier <> excluded.tier`

// setFreeSQL makes no row: without one a customer has the free tier.
const setFreeSQL = `UPDATE billing SET tier = $2, updated_at = $3 WHERE customer_id = $1 AND tier <> $2`

// setTier says whether that changed something.
func setTier(ctx context.Context, tx *db.Tx, customerID, tier string, now time.Time) (changed bool, err error) {
	query := setTierSQL
	if tier == billingapi.Free {
		query = setFreeSQL
	}
	res, err := tx.Exec(ctx, query, customerID, tier, db.Micro(now))
	if err != nil {
		return false, fmt.Errorf("set the tier of %s: %w", customerID, err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

const dropSQL = `DELETE FROM billing WHERE customer_id = $1`

func drop(ctx context.Context, tx *db.Tx, customerID string) error {
	if _, err := tx.Exec(ctx, dropSQL, customerID); err != nil {
		return fmt.Errorf("delete the billing account of %s: %w", customerID, err)
	}
	return nil
}
