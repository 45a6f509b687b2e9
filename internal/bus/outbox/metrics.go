package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/db"
)

// What a look at the tables may cost.
const (
	lookEvery = 5 * time.Second // at most, however often metrics are asked for
	lookLimit = 2 * time.Second
	mostSeen  = 10_000 // rows are counted; more are as many
)

// backlog is what waits in the outbox for the relays of this process, and what its groups
// could not take. It looks when it is asked: nobody's metrics cost nothing. While the
// database is away there are none.
type backlog struct {
	outbox *Outbox
	groups []string

	mu      sync.Mutex
	looked  time.Time
	waiting *prometheus.GaugeVec
	oldest  *prometheus.GaugeVec
	letters *prometheus.GaugeVec
}

// Backlog are the metrics of the outbox: what waits for relays that were made, and dead
// letters of the groups, which are those of this process. Processes that share the database
// and run the same service report the same.
func (o *Outbox) Backlog(groups ...string) prometheus.Collector {
	return &backlog{
		outbox: o, groups: groups,
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "m3o_outbox_waiting", Help: fmt.Sprintf("Facts of a service that are not published yet, %d at most.", mostSeen),
		}, []string{"source"}),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "m3o_outbox_oldest_seconds", Help: "For how long the oldest of them has waited; 0: none waits.",
		}, []string{"source"}),
		letters: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "m3o_dead_letters", Help: "Facts that a group could not take and nobody has had delivered again.",
		}, []string{"group"}),
	}
}

func (b *backlog) all() []*prometheus.GaugeVec {
	return []*prometheus.GaugeVec{b.waiting, b.oldest, b.letters}
}

// Describe implements prometheus.Collector.
func (b *backlog) Describe(to chan<- *prometheus.Desc) {
	for _, v := range b.all() {
		v.Describe(to)
	}
}

// Collect implements prometheus.Collector.
func (b *backlog) Collect(to chan<- prometheus.Metric) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := b.outbox.now(); now.Sub(b.looked).Abs() >= lookEvery {
		b.looked = now
		b.look(now)
	}
	for _, v := range b.all() {
		v.Collect(to)
	}
}

// look sets what there is anew.
func (b *backlog) look(now time.Time) {
	for _, v := range b.all() {
		v.Reset()
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookLimit)
	defer cancel()
	for _, source := range b.outbox.sources() {
		if err := b.lookAt(ctx, source, now); err != nil {
			b.outbox.log.LogAttrs(ctx, slog.LevelWarn, "the outbox cannot be counted", slog.Any("error", err))
			return
		}
	}
	if err := b.countLetters(ctx); err != nil {
		b.outbox.log.LogAttrs(ctx, slog.LevelWarn, "dead letters cannot be counted", slog.Any("error", err))
	}
}

// sources are those that have a relay in this process.
func (o *Outbox) sources() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.relays))
}

// A row's seq is when it was added, in microseconds, also that of a replay.
const waitingSQL = `
	SELECT COUNT(*), COALESCE(MIN(seq), 0) FROM (
		SELECT seq FROM outbox WHERE source = $1 AND published_at IS NULL ORDER BY seq, id LIMIT $2
	) AS waiting`

func (b *backlog) lookAt(ctx context.Context, source string, now time.Time) error {
	var n, since int64
	if err := b.outbox.db.QueryRow(ctx, waitingSQL, source, mostSeen).Scan(&n, &since); err != nil {
		return fmt.Errorf("count the outbox of %s: %w", source, err)
	}
	age := time.Duration(0)
	if n > 0 {
		age = max(now.Sub(db.Time(since)), 0)
	}
	b.waiting.WithLabelValues(source).Set(float64(n))
	b.oldest.WithLabelValues(source).Set(age.Seconds())
	return nil
}

const deadSQL = `SELECT grp, COUNT(*) FROM (SELECT grp FROM dead_letters WHERE replayed_at IS NULL LIMIT $1) AS dead GROUP BY grp`

func (b *backlog) countLetters(ctx context.Context) error {
	rows, err := b.outbox.db.Query(ctx, deadSQL, mostSeen)
	if err != nil {
		return err
	}
	defer rows.Close()
	counts := map[string]int64{}
	for rows.Next() {
		var group string
		var n int64
		if err := rows.Scan(&group, &n); err != nil {
			return err
		}
		counts[group] = n
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, group := range b.groups {
		b.letters.WithLabelValues(group).Set(float64(counts[group]))
	}
	return nil
}
