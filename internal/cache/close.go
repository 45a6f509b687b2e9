package cache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	handing = 3 * time.Second // of the four that Close has; the last is for calls that still run
	senders = 8               // how many elements are on their way at once
)

// Close hands the elements to the replicas that have room, those used last first, and
// leaves; it takes four seconds at most. It may be called twice.
func (c *Cache) Close(ctx context.Context) {
	c.closing.Do(func() {
		limited, cancel := context.WithTimeout(ctx, handing)
		defer cancel()
		c.departure.begin()
		c.running.Wait()
		c.handOver(limited)
		c.stop()
		c.own.removePrefix("")
	})
}

func (c *Cache) handOver(ctx context.Context) {
	holdings, err := c.holdings(ctx)
	if err != nil {
		c.config.Log.DebugContext(ctx, "a replica is not handed anything", "host", c.config.Host, "error", err)
	}
	if len(holdings) == 0 {
		return
	}
	r, elements := newRooms(holdings), c.own.all()
	var next, taken atomic.Int64
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(elements)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				if c.hand(ctx, elements[i], r.take(elements[i].weight())) {
					taken.Add(1)
				}
			}
		})
	}
	wg.Wait()
	c.config.Log.InfoContext(ctx, "cache handed over", "host", c.config.Host, "replica", c.config.Replica,
		"elements", taken.Load(), "of", len(elements))
}

// hand says whether a replica, or nobody, has taken the element.
func (c *Cache) hand(ctx context.Context, e *element, to string) bool {
	if to == "" {
		return false
	}
	done, ok := c.departure.send(e.key, to)
	if !ok {
		return false
	}
	defer close(done)
	q := request{method: http.MethodPost, path: pathSpare, to: to, key: e.key, age: c.config.Now().Sub(e.born), body: e.value}
	return len(c.answers(ctx, q)) == 1
}

// recall makes whoever was handed elements that change forget them. What makes them
// change may have reached those replicas before our elements did, so it is not over
// until they have been recalled. What is newer goes too, which is only a miss.
func (c *Cache) recall(ctx context.Context, path, key string) error {
	heirs := map[string]bool{}
	for _, p := range c.departure.changed(key, path == pathPrefix) {
		select {
		case <-p.done:
			heirs[p.to] = true
		case <-ctx.Done():
			return fmt.Errorf("wait for what is handed over: %w", ctx.Err())
		}
	}
	var errs []error
	for heir := range heirs {
		errs = append(errs, c.tell(ctx, request{method: http.MethodDelete, path: path, to: heir, key: key}))
	}
	return errors.Join(errs...)
}

// departure is how far a replica has left.
type departure struct {
	mu      sync.Mutex
	leaving bool
	keys    map[string]bool // that the others have changed meanwhile
	starts  []string        // prefixes of such keys
	parcels map[string]parcel
}

// parcel is an element on its way to another replica, or there.
type parcel struct {
	to   string
	done chan struct{} // closed when it has arrived, or never will
}

// enter counts a call of a method, which is not to begin any more after begin.
func (d *departure) enter(running *sync.WaitGroup) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.leaving {
		return false
	}
	running.Add(1)
	return true
}

func (d *departure) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leaving, d.keys, d.parcels = true, map[string]bool{}, map[string]parcel{}
}

func (d *departure) begun() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.leaving
}

// send begins to hand over an element, unless it has been changed. Closing done ends it.
func (d *departure) send(key, to string) (done chan struct{}, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keys[key] {
		return nil, false
	}
	for _, start := range d.starts {
		if strings.HasPrefix(key, start) {
			return nil, false
		}
	}
	done = make(chan struct{})
	d.parcels[key] = parcel{to, done}
	return done, true
}

// changed notes that a key has another value or none, or all that begin with it, and
// returns what was handed over of them.
func (d *departure) changed(key string, prefix bool) (sent []parcel) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.leaving {
		return nil
	}
	if !prefix {
		d.keys[key] = true
		if p, ok := d.parcels[key]; ok {
			sent = append(sent, p)
		}
		return sent
	}
	d.starts = append(d.starts, key)
	for other, p := range d.parcels {
		if strings.HasPrefix(other, key) {
			sent = append(sent, p)
		}
	}
	return sent
}

// rooms is how much the other replicas can take, in bytes.
type rooms struct {
	mu   sync.Mutex
	left map[string]int64
}

func newRooms(holdings map[string]holding) *rooms {
	r := &rooms{left: map[string]int64{}}
	for replica, h := range holdings {
		r.left[replica] = h.Room
	}
	return r
}

// take reserves room at the replica that has most of it; empty: at none.
func (r *rooms) take(weight int64) (replica string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	most := weight - 1
	for name, left := range r.left {
		if left > most {
			replica, most = name, left
		}
	}
	if replica != "" {
		r.left[replica] -= weight
	}
	return replica
}
