package natsbus

import (
	"runtime"
	"sync"
)

// letter is a finished answer.
type letter struct {
	to      string
	scratch *scratch // its message
}

// post is where answers wait for others that are about to be finished. They go out
// together: a write to the connection costs more than making a small answer, and the caller's
// side, which gets many at once, asks in the same way.
type post struct {
	mu      sync.Mutex
	letters []letter
	spare   []letter // memory for the next
}

// add adds a letter. Whoever adds the first must take them all.
func (p *post) add(l letter) (first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.letters == nil {
		p.letters, p.spare = p.spare, nil
	}
	p.letters = append(p.letters, l)
	return len(p.letters) == 1
}

func (p *post) take() []letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.letters
	p.letters = nil
	return all
}

// leave gives back the memory of letters that are sent.
func (p *post) leave(all []letter) {
	clear(all)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spare = all[:0]
}

// post sends an answer. While other requests are being handled, whoever comes first lets
// those go on that are ready to, once, and then sends for all. It counts as handling until
// then, so the bus is not closed before.
func (b *Bus) post(l letter) {
	if !b.outgoing.add(l) {
		return
	}
	if b.handled.Load() > 1 {
		runtime.Gosched()
	}
	all := b.outgoing.take()
	for _, l := range all {
		_ = b.nc.Publish(l.to, l.scratch.message) // what cannot be sent is lost with the connection
		b.scratches.leave(l.scratch)
	}
	b.outgoing.leave(all)
}
