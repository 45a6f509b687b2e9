package db

// Queued is how many callers of Batch wait for the one at work.
func (d *DB) Queued() int {
	d.batch.mu.Lock()
	defer d.batch.mu.Unlock()
	return len(d.batch.queue)
}
