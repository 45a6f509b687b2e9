package cache

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"m3o/internal/bus"
	"m3o/internal/problem"
)

const (
	patience = 2 * time.Second // for the answers of the others, when the caller has more
	quiet    = time.Second     // for how long a replica that is alone believes that it is
)

// request is what a replica asks of the others.
type request struct {
	method, path string
	to           string // a replica; empty: all others
	key          string // or prefix
	age          time.Duration
	body         []byte
}

// on is the request as it goes over the bus.
func (q *request) on(ctx context.Context, host, from string) *http.Request {
	if q.to != "" {
		host = q.to + "." + host
	}
	query := "from=" + url.QueryEscape(from) + "&key=" + url.QueryEscape(q.key) + "&age=" + strconv.FormatInt(int64(q.age), 10)
	r := &http.Request{
		Method: q.method, Host: host + port, Header: http.Header{},
		URL:  &url.URL{Scheme: "https", Host: host + port, Path: q.path, RawQuery: query},
		Body: io.NopCloser(bytes.NewReader(q.body)), ContentLength: int64(len(q.body)),
	}
	return r.WithContext(ctx)
}

// ask gives the answers of the other replicas, that of each one that is late being an error.
func (c *Cache) ask(ctx context.Context, q request) (replies []bus.Reply) {
	if q.to == "" && c.solitude.holds(c.config.Now()) {
		return nil
	}
	visits := c.solitude.counted()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for reply := range c.config.Bus.Multicast(q.on(ctx, c.config.Host, c.config.Replica)) {
		if !strings.EqualFold(reply.Replica, c.config.Replica) {
			replies = append(replies, reply)
		}
	}
	if len(replies) == 0 && q.to == "" {
		c.solitude.found(visits, c.config.Now().Add(quiet))
	}
	return replies
}

// answers are the replies of those who have something; who cannot say has nothing.
func (c *Cache) answers(ctx context.Context, q request) []bus.Reply {
	return slices.DeleteFunc(c.ask(ctx, q), func(reply bus.Reply) bool {
		if reply.Status >= 400 {
			c.config.Log.DebugContext(ctx, "a replica does not say what it has in its cache",
				"host", c.config.Host, "replica", reply.Replica, "status", reply.Status)
		}
		return reply.Status != http.StatusOK
	})
}

// tell makes all other replicas do something. The error says who may not have done it.
func (c *Cache) tell(ctx context.Context, q request) error {
	var errs []error
	for _, reply := range c.ask(ctx, q) {
		if reply.Status >= 400 {
			errs = append(errs, c.failed(reply))
		}
	}
	return errors.Join(errs...)
}

// failed is not a fault: it says nothing to whoever called the service.
func (c *Cache) failed(reply bus.Reply) error {
	f := problem.Read(reply.Status, reply.Header, bytes.NewReader(reply.Body))
	return fmt.Errorf("the cache of %s at replica %s answered %d: %s", c.config.Host, reply.Replica, reply.Status, f.Detail)
}

// undisputed says whether no other replica has another value.
func (c *Cache) undisputed(ctx context.Context, e *element) bool {
	for _, reply := range c.answers(ctx, request{method: http.MethodGet, path: pathSum, key: e.key}) {
		if sum := e.sum(); !bytes.Equal(reply.Body, sum[:]) {
			return false
		}
	}
	return true
}

// fetch is the value that all other replicas agree on which have one. It is not kept
// here: somebody may be storing another at this moment, and then nobody would tell us.
func (c *Cache) fetch(ctx context.Context, key string) (value []byte, ok bool) {
	for _, reply := range c.answers(ctx, request{method: http.MethodGet, path: pathValue, key: key}) {
		if ok && !bytes.Equal(reply.Body, value) {
			return nil, false
		}
		value, ok = reply.Body, true
	}
	return value, ok
}

// holdings are what the other replicas keep, by replica. The error says who did not tell.
func (c *Cache) holdings(ctx context.Context) (map[string]holding, error) {
	all := map[string]holding{}
	var errs []error
	for _, reply := range c.ask(ctx, request{method: http.MethodGet, path: pathHolding}) {
		var h holding
		if reply.Status != http.StatusOK {
			errs = append(errs, c.failed(reply))
		} else if err := json.Unmarshal(reply.Body, &h); err != nil {
			errs = append(errs, fmt.Errorf("read what the cache of %s holds at replica %s: %w", c.config.Host, reply.Replica, err))
		}
		all[reply.Replica] = h
	}
	return all, errors.Join(errs...)
}

// all is what all replicas keep.
func (c *Cache) all(ctx context.Context) (holding, error) {
	if !c.departure.enter(&c.running) {
		return holding{}, ErrClosed
	}
	defer c.running.Done()
	sum := c.own.holding()
	others, err := c.holdings(ctx)
	for _, h := range others {
		sum.Elements += h.Elements
		sum.Bytes += h.Bytes
	}
	return sum, err
}

// solitude is what a replica knows of being the only one. Nobody can have stored anything
// without asking all the others, so whoever is there has been heard of; the limit in time
// is for a network that was cut in two.
type solitude struct {
	mu     sync.Mutex
	visits int // requests of others
	until  time.Time
}

// visited notes that somebody else is there.
func (s *solitude) visited() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.visits++
	s.until = time.Time{}
}

func (s *solitude) counted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.visits
}

// found notes that nobody has answered, unless there was a visit since they were counted.
func (s *solitude) found(visits int, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.visits == visits {
		s.until = until
	}
}

func (s *solitude) holds(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Before(s.until)
}
