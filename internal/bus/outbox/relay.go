package outbox

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"m3o/internal/bus"
	"m3o/internal/db"
	"m3o/internal/db/lease"
	"m3o/internal/id"
)

const (
	poll   = 250 * time.Millisecond // for what other processes add
	term   = 10 * time.Second       // of the lease; renewed at half
	window = 64                     // events of a partition that may be in flight
	chunk  = 512                    // rows to read, or to mark, at once
	plenty = 128                    // events in flight, with which only the poll reads more
	moment = 2 * time.Millisecond   // that what is settled waits for company to be marked
	rest   = time.Second            // after something failed, or while another has the lease
)

// Relay publishes the events that one source added to the outbox.
type Relay struct {
	outbox *Outbox
	bus    bus.Bus
	source string
	lease  *lease.Keeper

	wake    chan struct{}
	ctx     context.Context // ends with Stop
	cancel  context.CancelFunc
	started sync.Once
	running sync.WaitGroup
}

// Relay makes the relay of a source. Start it after everybody has subscribed.
func (o *Outbox) Relay(b bus.Bus, source string) *Relay {
	r := &Relay{outbox: o, bus: b, source: source, lease: lease.New(o.db, id.New("relay"), o.now), wake: make(chan struct{}, 1)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	o.mu.Lock()
	defer o.mu.Unlock()
	o.relays[source] = append(o.relays[source], r)
	return r
}

// Start begins to publish. It does nothing the second time, or after Stop.
func (r *Relay) Start() {
	r.started.Do(func() {
		r.running.Go(func() { newFlight(r).run() })
	})
}

// Stop ends publishing: handlers that run may finish (30 seconds each), and what
// was not settled then is published again after the next start. It may be called
// twice or before Start.
func (r *Relay) Stop() {
	r.cancel()
	r.started.Do(func() {})
	r.running.Wait()
	r.outbox.forget(r)
}

func (r *Relay) nudge() {
	select {
	case r.wake <- struct{}{}:
	default: // it has been told and not looked yet
	}
}

func (o *Outbox) forget(r *Relay) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.relays[r.source] = slices.DeleteFunc(o.relays[r.source], func(other *Relay) bool { return other == r })
}

// leaseName is what the relays of a source compete for.
func leaseName(source string) string { return "outbox." + source }

// flight is a running relay: what is being published, owned by one goroutine.
// Whoever delivers or marks reports to it over landed and lost, so a row is known
// here from before it is sent until after it is marked, and no read sends it twice.
type flight struct {
	*Relay
	aloft   map[string]int64          // row id → partition
	counts  [bus.Partitions]int       // of aloft
	flying  int                       // reports that are still to come
	resting [bus.Partitions]time.Time // one that lost a row: not read until then, and until all of it is down
	quiet   time.Time                 // nothing is read until then
	behind  bool                      // there may be rows that the last read has left, for want of room
	until   time.Time                 // our lease holds; zero: none
	deliver context.Context           // of all that is aloft; ends when the lease is lost
	ground  context.CancelFunc        // ends deliver
	ways    [bus.Partitions]way       // by which a partition goes up
	settled chan string               // from deliveries to the marker
	landed  chan []string             // from the marker: rows that are marked
	lost    chan string               // from either: rows that are still unpublished
	marking sync.WaitGroup            // the marker
}

// way is the context that rows of a partition are sent with, a part of deliver. After a
// loss the bus takes none of them by it any more, so that none passes the one that was lost.
type way struct {
	ctx context.Context // nil: not begun
	end context.CancelFunc
}

func newFlight(r *Relay) *flight {
	f := &flight{Relay: r, aloft: map[string]int64{}, settled: make(chan string), landed: make(chan []string), lost: make(chan string)}
	f.deliver, f.ground = context.WithCancel(r.ctx)
	return f
}

func (f *flight) run() {
	f.marking.Go(f.mark)
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for polled, told := true, true; f.ctx.Err() == nil; {
		if polled || told || f.behind { // what lands makes room, but no rows
			f.step(polled)
		}
		polled, told = false, false
		select {
		case <-ticker.C:
			polled = true
		case <-f.wake:
			told = true
		case ids := <-f.landed:
			f.land(ids)
		case rowID := <-f.lost:
			f.lose(rowID)
		case <-f.ctx.Done():
		}
	}
	f.comeDown()
	close(f.settled)
	f.marking.Wait()
	f.release()
}

// step sends what can be sent.
func (f *flight) step(polled bool) {
	f.behind = false
	if !f.renew() || f.outbox.now().Before(f.quiet) {
		return
	}
	db.Rest()
	rows := f.read(polled)
	if len(rows) == 0 || f.ctx.Err() != nil {
		return
	}
	if f.until.IsZero() {
		if !f.acquire() {
			return
		}
		rows = f.read(polled) // another may have published them meanwhile
	}
	for _, one := range rows {
		if f.counts[one.part] >= window {
			f.behind = true
			continue
		}
		f.send(one)
	}
	if len(rows) >= chunk {
		f.nudge() // there may be more
	}
}

// read lists what is unpublished and not aloft.
func (f *flight) read(polled bool) []row {
	var without []int64
	aloft, now := 0, f.outbox.now()
	for part, n := range f.counts {
		if rested := f.resting[part]; !rested.IsZero() && rested.Before(now) && n == 0 {
			f.resting[part] = time.Time{}
			f.newWay(part)
		}
		if n >= window || !f.resting[part].IsZero() {
			without = append(without, int64(part))
		} else {
			aloft += n
		}
	}
	f.behind = len(without) > 0
	if len(without) == bus.Partitions || aloft > plenty && !polled {
		f.behind = true
		return nil
	}
	known := slices.Collect(maps.Keys(f.aloft))
	limit := chunk
	if len(known) > plenty { // a long list of ids costs more than to read these again
		known, limit = nil, aloft+chunk
	}
	rows, err := unpublished(f.ctx, f.outbox.db, f.source, without, known, limit)
	if err != nil {
		if f.ctx.Err() == nil {
			f.outbox.log.Error("outbox cannot be read", "source", f.source, "error", err)
			f.quiet = now.Add(rest)
		}
		return nil
	}
	return slices.DeleteFunc(rows, func(one row) bool { _, there := f.aloft[one.id]; return there })
}

// send lets one row go up. Rows of a partition must be sent in their order.
func (f *flight) send(one row) {
	f.aloft[one.id] = one.part
	f.counts[one.part]++
	f.flying++
	if f.ways[one.part].ctx == nil {
		f.newWay(int(one.part))
	}
	settle := f.bus.Send(f.ways[one.part].ctx, one.event)
	f.running.Go(func() {
		db.Rest() // requests come before what follows from them
		if err := settle(); err != nil {
			if f.deliver.Err() == nil {
				f.outbox.log.Error("event cannot be published", "event", one.event.ID, "topic", one.event.Topic, "source", f.source, "error", err)
			}
			f.lost <- one.id
			return
		}
		f.settled <- one.id
	})
}

// newWay begins another way for a partition of which nothing is aloft.
func (f *flight) newWay(part int) {
	if end := f.ways[part].end; end != nil {
		end()
	}
	ctx, end := context.WithCancel(f.deliver)
	f.ways[part] = way{ctx, end}
}

func (f *flight) land(ids []string) {
	f.flying -= len(ids)
	for _, rowID := range ids {
		f.counts[f.aloft[rowID]]--
		delete(f.aloft, rowID)
	}
}

// lose forgets a row so that it is read again, not at once.
func (f *flight) lose(rowID string) {
	f.resting[f.aloft[rowID]] = f.outbox.now().Add(rest)
	f.land([]string{rowID})
}

// comeDown ends all deliveries between two tries and waits for them to be marked
// or lost.
func (f *flight) comeDown() {
	f.ground()
	for f.flying > 0 {
		select {
		case ids := <-f.landed:
			f.land(ids)
		case rowID := <-f.lost:
			f.lose(rowID)
		}
	}
	f.deliver, f.ground = context.WithCancel(f.ctx)
	f.ways = [bus.Partitions]way{} // they have ended with the old one
}

// renew prolongs the lease in time while something is aloft; without, the lease
// may run out. False means that it was lost, and nothing is aloft any more.
func (f *flight) renew() bool {
	now := f.outbox.now()
	if f.until.IsZero() || now.Before(f.until.Add(-term/2)) {
		return true
	}
	if len(f.aloft) == 0 {
		f.until = time.Time{}
		return true
	}
	ours, err := f.lease.Acquire(f.ctx, leaseName(f.source), term)
	if ours {
		f.until = now.Add(term)
		return true
	}
	if err != nil && now.Before(f.until) {
		return f.ctx.Err() == nil // there is time to ask again
	}
	f.outbox.log.Warn("relay lost its lease", "source", f.source, "error", err)
	f.until = time.Time{}
	f.comeDown()
	return false
}

// acquire asks for the lease; while another has it, only once in a while.
func (f *flight) acquire() bool {
	now := f.outbox.now()
	ours, err := f.lease.Acquire(f.ctx, leaseName(f.source), term)
	if err != nil && f.ctx.Err() == nil {
		f.outbox.log.Error("relay cannot get its lease", "source", f.source, "error", err)
	}
	if !ours {
		f.quiet = now.Add(rest)
		return false
	}
	f.until = now.Add(term)
	return true
}

// release lets another relay follow at once.
func (f *flight) release() {
	f.ground()
	if f.until.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.ctx), term)
	defer cancel()
	if err := f.lease.Release(ctx, leaseName(f.source)); err != nil {
		f.outbox.log.Warn("relay cannot give back its lease: the next one waits", "source", f.source, "error", err)
	}
}

// mark marks what is settled, as much as comes within a moment, until settled is closed.
func (f *flight) mark() {
	for first := range f.settled {
		ids, due := []string{first}, time.After(moment)
	collect:
		for len(ids) < chunk {
			select {
			case rowID, open := <-f.settled:
				if !open {
					break collect
				}
				ids = append(ids, rowID)
			case <-due:
				break collect
			}
		}
		db.Rest()
		f.markAll(ids)
	}
}

// markAll tries until it succeeds, or once more after Stop: then the rows stay
// unpublished, as after a crash.
func (f *flight) markAll(ids []string) {
	for {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(f.ctx), term)
		// What is not marked is published once more, which is harmless.
		err := f.outbox.db.Batch(db.Relaxed(ctx), func(tx *db.Tx) error {
			return markPublished(ctx, tx, db.Micro(f.outbox.now()), ids)
		})
		cancel()
		if err == nil {
			f.landed <- ids
			return
		}
		f.outbox.log.Error("events cannot be marked published", "source", f.source, "events", len(ids), "error", err)
		select {
		case <-f.ctx.Done():
			for _, rowID := range ids {
				f.lost <- rowID
			}
			return
		case <-time.After(rest):
		}
	}
}
