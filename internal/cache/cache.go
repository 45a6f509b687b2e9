package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"m3o/internal/bus"
)

var (
	// ErrTooLarge is the error of a Store whose value no replica could ever keep.
	ErrTooLarge = errors.New("too large for the cache")

	// ErrClosed is what every method returns after Close.
	ErrClosed = errors.New("the cache is closed")
)

// Config is what a Cache is made of.
type Config struct {
	Bus     bus.Bus
	Host    string // of the service
	Replica string // this one's name on the bus, unlike any other's

	// MaxBytes is how much the keys and values that this replica keeps may weigh. There
	// are never more of them than one for each 256 bytes, or 4096 if that is more, so
	// that keeping them costs no more again. Default: 32 MB.
	MaxBytes int64

	// TTL is how long after its Store an element is found. Default: an hour.
	TTL time.Duration

	// Now is the time. Required.
	Now func() time.Time

	// Log is told of what was handed over, and in detail who did not answer. Default: slog.Default().
	Log *slog.Logger
}

// Cache is one replica's part of the cache. It is safe for concurrent use.
type Cache struct {
	config   Config
	own      *lru
	solitude solitude
	stop     func()

	running   sync.WaitGroup // calls of its methods
	departure departure
	closing   sync.Once
}

// New joins the replica to the cache of its service. Close leaves it.
func New(c Config) *Cache {
	if c.MaxBytes == 0 {
		c.MaxBytes = 32 << 20
	}
	if c.TTL == 0 {
		c.TTL = time.Hour
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	cache := &Cache{config: c, own: newLRU(c.MaxBytes, c.TTL, c.Now)}
	cache.stop = c.Bus.Serve(c.Replica, cache.endpoints()...)
	return cache
}

// StoreOption is a manner of storing.
type StoreOption int

// Replicate makes every replica keep a copy, for what is read often and must outlive any
// of them. Without it the value is kept here, and the others forget theirs.
const Replicate StoreOption = 1

// LoadOption is a manner of loading.
type LoadOption int

// Unchecked takes a value that this replica keeps without asking the others, for what is
// stored once and never changes.
const Unchecked LoadOption = 1

// Store keeps a copy of value under key. A value that is too large is ErrTooLarge, and
// the key then has none at all.
func (c *Cache) Store(ctx context.Context, key string, value []byte, options ...StoreOption) error {
	if !c.departure.enter(&c.running) {
		return ErrClosed
	}
	defer c.running.Done()
	if err := c.own.fits(key, len(value)); err != nil {
		return errors.Join(err, c.forget(ctx, key))
	}
	// Here first: of two replicas that store at once, each makes the other forget.
	if err := c.own.put(ctx, &element{key: key, value: bytes.Clone(value), born: c.config.Now()}); err != nil {
		return fmt.Errorf("store in the cache: %w", err)
	}
	if slices.Contains(options, Replicate) {
		return c.tell(ctx, request{method: http.MethodPut, path: pathValue, key: key, body: value})
	}
	return c.tell(ctx, request{method: http.MethodDelete, path: pathValue, key: key})
}

// Load finds the value stored last under key; false: there is none, or the replicas do
// not agree. The value is the caller's. The error is that of a context that had ended.
func (c *Cache) Load(ctx context.Context, key string, options ...LoadOption) (value []byte, ok bool, err error) {
	if !c.departure.enter(&c.running) {
		return nil, false, ErrClosed
	}
	defer c.running.Done()
	if err := ctx.Err(); err != nil {
		return nil, false, fmt.Errorf("load from the cache: %w", err)
	}
	e := c.own.get(key)
	if e == nil {
		value, ok = c.fetch(ctx, key)
		return value, ok, nil
	}
	if !slices.Contains(options, Unchecked) && !c.undisputed(ctx, e) {
		return nil, false, nil
	}
	return bytes.Clone(e.value), true, nil
}

// Delete makes every replica forget key. It may be repeated.
func (c *Cache) Delete(ctx context.Context, key string) error {
	if !c.departure.enter(&c.running) {
		return ErrClosed
	}
	defer c.running.Done()
	return c.forget(ctx, key)
}

// DeletePrefix makes every replica forget all keys that begin with prefix. It looks at
// every key there is. It may be repeated.
func (c *Cache) DeletePrefix(ctx context.Context, prefix string) error {
	if !c.departure.enter(&c.running) {
		return ErrClosed
	}
	defer c.running.Done()
	c.own.removePrefix(prefix)
	return c.tell(ctx, request{method: http.MethodDelete, path: pathPrefix, key: prefix})
}

// Clear makes every replica forget all that it has.
func (c *Cache) Clear(ctx context.Context) error { return c.DeletePrefix(ctx, "") }

// Len is how many elements all replicas keep; each copy counts.
func (c *Cache) Len(ctx context.Context) (int, error) {
	all, err := c.all(ctx)
	return all.Elements, err
}

// Weight is how many bytes the keys and values weigh that all replicas keep; each copy counts.
func (c *Cache) Weight(ctx context.Context) (int64, error) {
	all, err := c.all(ctx)
	return all.Bytes, err
}

// Local is how many elements this replica keeps, and what their keys and values weigh in
// bytes. It asks nobody.
func (c *Cache) Local() (elements int, weight int64) {
	h := c.own.holding()
	return h.Elements, h.Bytes
}

func (c *Cache) forget(ctx context.Context, key string) error {
	c.own.remove(key)
	return c.tell(ctx, request{method: http.MethodDelete, path: pathValue, key: key})
}
