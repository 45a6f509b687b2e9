package natsbus

import "sync"

// scratch is memory in which a message is put together. NATS has a copy of it when Publish
// returns, so the next message may have it.
type scratch struct {
	head    []byte // of an answer's first packet
	body    []byte // what a handler has written
	message []byte
}

// scratchLimit is how much of it is kept: long bodies are rare, and their memory may go.
const scratchLimit = 16 << 10

// scratches are what nobody uses at the moment.
type scratches struct{ pool sync.Pool }

func (s *scratches) take() *scratch {
	if one, ok := s.pool.Get().(*scratch); ok {
		return one
	}
	return &scratch{head: make([]byte, 0, 256), body: make([]byte, 0, 512), message: make([]byte, 0, 1<<10)}
}

// leave gives back what nobody may write to any more, empty.
func (s *scratches) leave(one *scratch) {
	one.head, one.body, one.message = one.head[:0], one.body[:0], one.message[:0]
	if max(cap(one.head), cap(one.body), cap(one.message)) <= scratchLimit {
		s.pool.Put(one)
	}
}
