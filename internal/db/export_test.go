package db

import "context"

// Queued is how many callers of Batch wait for the one at work.
func (d *DB) Queued() int {
	d.batch.mu.Lock()
	defer d.batch.mu.Unlock()
	return len(d.batch.queue)
}

// ExecBatch runs statements at once on a connection to Postgres that has begun no transaction.
func (d *DB) ExecBatch(ctx context.Context, all []Statement) ([]int64, error) {
	conn, err := d.write.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	return execBatch(ctx, conn, all)
}
