package outbox

import (
	"context"
	"fmt"
	"time"

	"m3o/internal/db"
)

// Reopen has everything published again that was published since a moment. It is for a database that was restored: a
// transport between processes may count an event as taken whose effect came after the backup. Groups that have taken one
// know it (Once).
func Reopen(ctx context.Context, d *db.DB, since time.Time) error {
	if _, err := d.Exec(ctx, `UPDATE outbox SET published_at = NULL WHERE published_at >= $1`, db.Micro(since)); err != nil {
		return fmt.Errorf("have events published again: %w", err)
	}
	return nil
}
