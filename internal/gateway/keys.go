package gateway

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"m3o/internal/fault"
	"m3o/internal/keys/keysapi"
)

// credential is the key that a request carries: as bearer token, as password of
// basic authentication, or as WebSocket subprotocol. Empty: none.
func credential(r *http.Request) string {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, rest, _ := strings.Cut(header, " ")
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

// key is a key that the gateway remembers.
type key struct {
	keysapi.Record
	customer *customer
	epoch    uint64 // of the customer's keys, when it was read
	rate     gcra   // guarded by customer.mu
}

// allows says whether the key may call an API.
func (k *key) allows(scope string) bool {
	return slices.Contains(k.Scopes, "*") || slices.Contains(k.Scopes, scope)
}

// keyring remembers keys by their hash.
type keyring struct {
	keys    sync.Map // hash → *key
	changes atomic.Uint64
}

// errUnauthorized is the answer to every credential that is not a live key.
func errUnauthorized() error { return fault.New(fault.Unauthenticated, "Unauthorized").WithID("v1") }

// findKey finds the live key of a credential.
func (s *Service) findKey(ctx context.Context, text string, now time.Time) (*key, error) {
	if !keysapi.WellFormed(text) {
		return nil, errUnauthorized()
	}
	hash := keysapi.Hash(text)
	if found, ok := s.keyring.keys.Load(hash); ok {
		k := found.(*key)
		if k.epoch == k.customer.keys.Load() {
			return k, k.alive(now)
		}
	}
	k, err := s.readKey(ctx, hash)
	if err != nil {
		return nil, err
	}
	return k, k.alive(now)
}

// alive refuses a key that has expired.
func (k *key) alive(now time.Time) error {
	if !k.Expires.IsZero() && !now.Before(k.Expires) {
		return errUnauthorized()
	}
	return nil
}

// readKey asks the keys service, and again when keys were changed meanwhile: what
// was read before a change must not be remembered after it.
func (s *Service) readKey(ctx context.Context, hash string) (*key, error) {
	for {
		changes := s.keyring.changes.Load()
		record, err := s.keys.Lookup(ctx, hash)
		if fault.Is(err, fault.NotFound) {
			s.keyring.keys.Delete(hash)
			return nil, errUnauthorized()
		}
		if err != nil {
			return nil, unavailable(err)
		}
		c := s.customers.get(record.CustomerID)
		k := &key{Record: record, customer: c, epoch: c.keys.Load()}
		if s.keyring.changes.Load() != changes || s.customers.peek(c.id) != c {
			continue
		}
		if before, ok := s.keyring.keys.Load(hash); ok {
			k.rate = before.(*key).pace() // a change of a key is no new second
		}
		s.keyring.keys.Store(hash, k)
		return k, nil
	}
}

// pace is the key's rate at the moment.
func (k *key) pace() gcra {
	k.customer.mu.Lock()
	defer k.customer.mu.Unlock()
	return k.rate
}

// sweep drops keys that are unknown again and have not been read since.
func (r *keyring) sweep() {
	r.keys.Range(func(hash, found any) bool {
		if k := found.(*key); k.epoch != k.customer.keys.Load() {
			r.keys.CompareAndDelete(hash, found)
		}
		return true
	})
}

// forgetKeys forgets every key of a customer.
func (s *Service) forgetKeys(customerID string) {
	s.keyring.changes.Add(1)
	if c := s.customers.peek(customerID); c != nil {
		c.keys.Add(1)
	}
}
