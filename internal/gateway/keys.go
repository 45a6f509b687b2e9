package gateway

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"m3o/internal/fault"
	"m3o/internal/keys/keysapi"
	"m3o/internal/limit"
)

// credential is the key that a request carries: as bearer token, as password of
// basic authentication, or as WebSocket subprotocol. Empty: none.
func credential(r *http.Request) string {
	if lines := r.Header["Authorization"]; len(lines) > 0 && lines[0] != "" {
		scheme, rest, _ := strings.Cut(lines[0], " ")
		switch {
		case strings.EqualFold(scheme, "Bearer"):
			return strings.TrimSpace(rest)
		case strings.EqualFold(scheme, "Basic"):
			return basicPassword(rest)
		}
		return ""
	}
	return strings.TrimSpace(r.Header.Get("Sec-WebSocket-Protocol"))
}

func basicPassword(encoded string) string {
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return ""
	}
	_, password, _ := strings.Cut(string(text), ":")
	return password
}

// key is a key that the gateway remembers. There are many, so it is small: what it
// shares with others, it does not hold.
type key struct {
	id       string
	customer *customer
	epoch    uint64         // of the customer's keys, when it was read
	scopes   []string       // nil: every API
	blocked  *keysapi.Block // the first reason for which it is refused; nil: none
	expires  int64          // Unix microseconds; 0: never
	most     int            // requests a second; 0: no limit of its own
	rate     limit.Pace     // of this gateway alone; guarded by customer.mu, as is bucket
	bucket   *limit.Bucket  // of the rate that gateways share; nil: it has none, or has not called
}

func newKey(record keysapi.Record, c *customer) *key {
	k := &key{id: record.ID, customer: c, epoch: c.keys.Load(), most: record.Rate}
	if !slices.Contains(record.Scopes, "*") {
		k.scopes = append([]string{}, record.Scopes...)
	}
	if len(record.Blocked) > 0 {
		k.blocked = &keysapi.Block{Reason: record.Blocked[0].Reason, Message: record.Blocked[0].Message}
	}
	if !record.Expires.IsZero() {
		k.expires = cmp.Or(record.Expires.UnixMicro(), -1)
	}
	return k
}

// allows says whether the key may call an API.
func (k *key) allows(scope string) bool { return k.scopes == nil || slices.Contains(k.scopes, scope) }

// digest is the SHA-256 of a key's text. The gateway knows keys by it.
type digest [sha256.Size]byte

// digestOf is the digest of a text that may be a key, false when it is none by its
// length.
func digestOf(text string) (digest, bool) {
	var buffer [keySize]byte
	if copy(buffer[:], text) != len(text) || len(text) != keySize {
		return digest{}, false
	}
	return sha256.Sum256(buffer[:]), true
}

// keySize is the length of a key's text.
const keySize = 40

// keyring remembers keys.
type keyring struct {
	keys    shards[digest, *key]
	changes atomic.Uint64
}

func (r *keyring) init() { r.keys.pick = func(d digest) uint8 { return d[0] } }

// errUnauthorized is the answer to every credential that is not a live key.
func errUnauthorized() error { return fault.New(fault.Unauthenticated, "Unauthorized").WithID("v1") }

// findKey finds the live key of a credential.
func (s *Service) findKey(ctx context.Context, text string, now time.Time) (*key, error) {
	d, ok := digestOf(text)
	if !ok {
		return nil, errUnauthorized()
	}
	if s.stale(now) {
		return nil, unavailable(nil)
	}
	k := s.keyring.keys.load(d)
	if k == nil || k.epoch != k.customer.keys.Load() {
		if !keysapi.WellFormed(text) {
			return nil, errUnauthorized()
		}
		var err error
		if k, err = s.readKey(ctx, d); err != nil {
			return nil, err
		}
	}
	return k, k.alive(now)
}

// alive refuses a key that has expired.
func (k *key) alive(now time.Time) error {
	if k.expires != 0 && now.UnixMicro() >= k.expires {
		return errUnauthorized()
	}
	return nil
}

// readKey asks the keys service, and again when keys were changed meanwhile: what
// was read before a change must not be remembered after it.
func (s *Service) readKey(ctx context.Context, d digest) (*key, error) {
	for {
		changes := s.keyring.changes.Load()
		record, err := s.keys.Lookup(ctx, hex.EncodeToString(d[:]))
		before := s.keyring.keys.load(d)
		if fault.Is(err, fault.NotFound) {
			s.keyring.keys.remove(d, before)
			return nil, errUnauthorized()
		}
		if err != nil {
			return nil, unavailable(err)
		}
		c := s.customers.get(record.CustomerID)
		k := newKey(record, c)
		if s.keyring.changes.Load() != changes || s.customers.peek(c.id) != c {
			continue
		}
		if before != nil {
			k.keepPace(before)
		}
		s.keyring.keys.store(d, k)
		return k, nil
	}
}

// sweep drops keys that are unknown again and have not been read since.
func (r *keyring) sweep() {
	r.keys.removeIf(func(k *key) bool { return k.epoch != k.customer.keys.Load() })
}

// forgetKeys forgets every key of a customer.
func (s *Service) forgetKeys(customerID string) {
	s.keyring.changes.Add(1)
	if c := s.customers.peek(customerID); c != nil {
		c.keys.Add(1)
	}
}
