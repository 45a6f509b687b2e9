package outbox

import (
	"context"
	"time"
)

// How long Delivered waits at most, and how often it looks.
const (
	deliveredLimit = time.Second
	deliveredPoll  = 2 * time.Millisecond
)

const pendingSQL = `SELECT COUNT(*) FROM outbox WHERE source = $1 AND key = $2 AND published_at IS NULL`

// Delivered waits until what source has stated about key so far is published: on
// the memory bus, until every group has taken it. So a service can answer when
// what follows from its fact is done. It waits a second at most and promises
// nothing: a group that fails delays nobody for longer, and what was not taken in
// time is taken later.
func (o *Outbox) Delivered(ctx context.Context, source, key string) {
	ctx, cancel := context.WithTimeout(ctx, deliveredLimit)
	defer cancel()
	poll := time.NewTicker(deliveredPoll)
	defer poll.Stop()
	for {
		var pending int64
		if err := o.db.QueryRow(ctx, pendingSQL, source, key).Scan(&pending); err != nil || pending == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		}
	}
}
