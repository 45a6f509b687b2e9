package proxy

import (
	"net"
	"sync"
	"time"
)

// pair is one connection over a link: the near end, which dialled, and the far end at the target.
type pair struct {
	link *Link
	near net.Conn

	mu   sync.Mutex
	far  net.Conn
	over chan struct{} // closed by end
}

// piece is what was read at once, and when it arrives.
type piece struct {
	text []byte
	due  time.Time
}

const (
	pieceSize   = 32 << 10
	piecesAhead = 64 // under way at once: a slow link is late, not narrow
)

// run passes bytes on, both ways, until either side ends.
func (p *pair) run() {
	defer p.link.forget(p)
	defer p.end(false)
	if !p.arrive(time.Now()) {
		return
	}
	far, err := p.link.dial()
	if err != nil || !p.join(far) {
		return
	}
	var wait sync.WaitGroup
	wait.Go(func() { p.pass(p.near, far) })
	wait.Go(func() { p.pass(far, p.near) })
	wait.Wait()
}

// join adds the far end, unless the connection has ended meanwhile.
func (p *pair) join(far net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hasEnded() {
		_ = far.Close()
		return false
	}
	p.far = far
	return true
}

// pass moves what one end says to the other. An end's last words arrive before the other end is closed.
func (p *pair) pass(from, to net.Conn) {
	pieces := make(chan piece, piecesAhead)
	var wait sync.WaitGroup
	wait.Go(func() { p.deliver(pieces, to) })
	p.collect(from, pieces)
	wait.Wait()
	p.end(false)
}

// collect reads until the end has nothing more to say.
func (p *pair) collect(from net.Conn, pieces chan<- piece) {
	defer close(pieces)
	for {
		text := make([]byte, pieceSize)
		n, err := from.Read(text)
		if n > 0 {
			now, _ := p.link.now()
			select {
			case pieces <- piece{text[:n], time.Now().Add(now.delay)}:
			case <-p.over:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// deliver writes each piece when it is due. The last wait is for the end of the connection, which travels like a piece.
func (p *pair) deliver(pieces <-chan piece, to net.Conn) {
	broken := false
	for next := range pieces {
		if broken = broken || !p.arrive(next.due); broken {
			continue // to let collect come to its end
		}
		if _, err := to.Write(next.text); err != nil {
			broken = true
			p.end(false)
		}
	}
	if !broken {
		now, _ := p.link.now()
		p.arrive(time.Now().Add(now.delay))
	}
}

// arrive waits until something that is due at a time is let through; false when the connection has ended.
func (p *pair) arrive(due time.Time) bool {
	for {
		now, changed := p.link.now()
		left := time.Until(due)
		switch {
		case now.held:
			select {
			case <-changed:
			case <-p.over:
				return false
			}
		case left > 0:
			timer := time.NewTimer(left)
			select {
			case <-timer.C:
			case <-changed:
				timer.Stop()
			case <-p.over:
				timer.Stop()
				return false
			}
		default:
			return !p.hasEnded()
		}
	}
}

func (p *pair) hasEnded() bool {
	select {
	case <-p.over:
		return true
	default:
		return false
	}
}

// end closes both ends at once. With reset they are told that the connection broke, and what was under way is lost.
func (p *pair) end(reset bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hasEnded() {
		return
	}
	close(p.over)
	for _, conn := range []net.Conn{p.near, p.far} {
		if conn == nil {
			continue
		}
		if tcp, ok := conn.(*net.TCPConn); ok && reset {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
}
