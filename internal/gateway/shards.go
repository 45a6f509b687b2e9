package gateway

import (
	"maps"
	"slices"
	"sync"
)

// shards is a map in parts, so that calls do not wait for each other. Unlike a
// sync.Map it keeps keys and values in place, which makes it small.
type shards[K comparable, V comparable] struct {
	parts [256]shard[K, V]
	pick  func(K) uint8 // the part that a key belongs to; even
}

type shard[K comparable, V comparable] struct {
	mu     sync.RWMutex
	values map[K]V
}

// load is the value of a key, the zero value when there is none.
func (s *shards[K, V]) load(key K) V {
	part := &s.parts[s.pick(key)]
	part.mu.RLock()
	defer part.mu.RUnlock()
	return part.values[key]
}

// store sets the value of a key.
func (s *shards[K, V]) store(key K, value V) {
	part := &s.parts[s.pick(key)]
	part.mu.Lock()
	defer part.mu.Unlock()
	part.put(key, value)
}

// loadOrStore is the value of a key, which becomes what is given when there is none.
func (s *shards[K, V]) loadOrStore(key K, value V) V {
	part := &s.parts[s.pick(key)]
	part.mu.Lock()
	defer part.mu.Unlock()
	if found, ok := part.values[key]; ok {
		return found
	}
	part.put(key, value)
	return value
}

// remove removes a key if it still has that value.
func (s *shards[K, V]) remove(key K, value V) {
	part := &s.parts[s.pick(key)]
	part.mu.Lock()
	defer part.mu.Unlock()
	if part.values[key] == value {
		delete(part.values, key)
	}
}

// each visits every value; visit may change the map.
func (s *shards[K, V]) each(visit func(V)) {
	var values []V
	for i := range s.parts {
		values = s.parts[i].appendTo(values[:0])
		for _, value := range values {
			visit(value)
		}
	}
}

// removeIf removes what condition, which must be quick, is true of.
func (s *shards[K, V]) removeIf(condition func(V) bool) {
	for i := range s.parts {
		s.parts[i].removeIf(condition)
	}
}

func (p *shard[K, V]) put(key K, value V) {
	if p.values == nil {
		p.values = map[K]V{}
	}
	p.values[key] = value
}

func (p *shard[K, V]) appendTo(values []V) []V {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return slices.AppendSeq(values, maps.Values(p.values))
}

func (p *shard[K, V]) removeIf(condition func(V) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.values, func(_ K, value V) bool { return condition(value) })
}
