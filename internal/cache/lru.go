package cache

import (
	"container/list"
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"time"
)

// element is a value under its key. Neither is ever changed.
type element struct {
	key   string
	value []byte
	born  time.Time // when it was stored, here or where it comes from

	once   sync.Once
	digest [sha256.Size]byte
}

// sum is the checksum of the value, which only those need who are not alone.
func (e *element) sum() [sha256.Size]byte {
	e.once.Do(func() { e.digest = sha256.Sum256(e.value) })
	return e.digest
}

func weightOf(key string, value int) int64 { return int64(len(key) + value) }

func (e *element) weight() int64 { return weightOf(e.key, len(e.value)) }

// holding is how much a replica keeps, and how much more it could.
type holding struct {
	Elements int   `json:"elements"`
	Bytes    int64 `json:"bytes"`
	Room     int64 `json:"room"` // in bytes
}

// lru are the elements of one replica, of which those used last stay.
type lru struct {
	maxBytes int64
	maxLen   int
	ttl      time.Duration
	now      func() time.Time

	mu    sync.Mutex
	byKey map[string]*list.Element
	order list.List // of *element; those used last are in front
	bytes int64
}

func newLRU(maxBytes int64, ttl time.Duration, now func() time.Time) *lru {
	return &lru{maxBytes: maxBytes, maxLen: int(max(maxBytes/256, 4096)), ttl: ttl, now: now, byKey: map[string]*list.Element{}}
}

// fits returns ErrTooLarge for what could never be put.
func (l *lru) fits(key string, value int) error {
	if weight := weightOf(key, value); weight > l.maxBytes {
		return fmt.Errorf("%w: %d bytes where %d is the most", ErrTooLarge, weight, l.maxBytes)
	}
	return nil
}

// get finds the element, which thereby is used.
func (l *lru) get(key string) *element {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.find(key)
	if at == nil {
		return nil
	}
	l.order.MoveToFront(at)
	return at.Value.(*element)
}

// put keeps an element that fits in place of what was there, and drops what has been used
// least. When ctx has ended, which is the error, all stays as it was: whoever put it
// believes that it is not there.
func (l *lru) put(ctx context.Context, e *element) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if at := l.find(e.key); at != nil {
		l.drop(at)
	}
	if l.expired(e) {
		return nil
	}
	l.byKey[e.key] = l.order.PushFront(e)
	l.bytes += e.weight()
	for l.bytes > l.maxBytes || len(l.byKey) > l.maxLen {
		l.drop(l.order.Back())
	}
	return nil
}

// spare keeps an element that somebody hands over, if that costs no other, and says
// whether it did. If there is another value, the two are in dispute and both go.
func (l *lru) spare(ctx context.Context, e *element) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	if at := l.find(e.key); at != nil {
		same := at.Value.(*element).sum() == e.sum()
		if !same {
			l.drop(at)
		}
		return same
	}
	if l.expired(e) || l.bytes+e.weight() > l.maxBytes || len(l.byKey) >= l.maxLen {
		return false
	}
	l.byKey[e.key] = l.order.PushBack(e)
	l.bytes += e.weight()
	return true
}

func (l *lru) remove(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := l.byKey[key]; at != nil {
		l.drop(at)
	}
}

func (l *lru) removePrefix(prefix string) {
	l.removeIf(func(e *element) bool { return strings.HasPrefix(e.key, prefix) })
}

func (l *lru) removeIf(gone func(*element) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for at := l.order.Front(); at != nil; {
		next := at.Next()
		if gone(at.Value.(*element)) {
			l.drop(at)
		}
		at = next
	}
}

// holding looks at every element: one that has expired is there until somebody looks.
func (l *lru) holding() holding {
	l.removeIf(l.expired)
	l.mu.Lock()
	defer l.mu.Unlock()
	return holding{Elements: len(l.byKey), Bytes: l.bytes, Room: l.maxBytes - l.bytes}
}

// all lists the elements, those used last first.
func (l *lru) all() []*element {
	l.removeIf(l.expired)
	l.mu.Lock()
	defer l.mu.Unlock()
	elements := make([]*element, 0, len(l.byKey))
	for at := l.order.Front(); at != nil; at = at.Next() {
		elements = append(elements, at.Value.(*element))
	}
	return elements
}

// find is where the element of key is, nil when it is not or has expired.
func (l *lru) find(key string) *list.Element {
	at := l.byKey[key]
	if at != nil && l.expired(at.Value.(*element)) {
		l.drop(at)
		return nil
	}
	return at
}

func (l *lru) expired(e *element) bool { return l.now().Sub(e.born) >= l.ttl }

func (l *lru) drop(at *list.Element) {
	e := l.order.Remove(at).(*element)
	delete(l.byKey, e.key)
	l.bytes -= e.weight()
}
