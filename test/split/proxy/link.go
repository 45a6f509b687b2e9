// Package proxy stands between two processes as a network does: a Link passes TCP connections on, until a test cuts it,
// holds it up, resets what goes over it or makes it slow. Tests of faults import it; nothing else does.
package proxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Address is where something listens, in the words of net.Dial: "tcp" and a host with its port, or "unix" and a path.
type Address struct{ Network, Name string }

// Link is a TCP listener whose connections end at a target. It keeps its own address while the target may move, so that
// a server which is started anew elsewhere is found where it was.
type Link struct {
	listener net.Listener
	wait     sync.WaitGroup

	mu      sync.Mutex
	target  Address
	way     way
	changed chan struct{} // closed when way changes
	pairs   map[*pair]bool
	closed  bool
}

// way is what happens on a link.
type way struct {
	cut   bool          // there is no connection and none can be made
	held  bool          // nothing arrives, and nobody is told
	delay time.Duration // each piece arrives so much later, either way
}

// Listen opens a link to a target on a free port of 127.0.0.1. Nobody needs to listen at the target yet.
func Listen(target Address) (*Link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &Link{listener: listener, target: target, changed: make(chan struct{}), pairs: map[*pair]bool{}}
	l.wait.Go(l.accept)
	return l, nil
}

// Address is where the link listens, as host:port.
func (l *Link) Address() string { return l.listener.Addr().String() }

// Aim moves the target; connections that stand keep theirs.
func (l *Link) Aim(target Address) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target = target
}

// Mend undoes Cut, Hold and Slow. What was held arrives now, as it does after a partition that TCP has survived.
func (l *Link) Mend() { l.set(way{}) }

// Cut ends all connections and refuses new ones until Mend.
func (l *Link) Cut() {
	l.set(way{cut: true})
	l.Reset()
}

// Hold lets nothing through until Mend, and tells neither side: connections stand, and new ones are taken and get nowhere.
func (l *Link) Hold() { l.set(way{held: true}) }

// Slow makes everything arrive later by delay, each way, until Mend. As much as before goes through.
func (l *Link) Slow(delay time.Duration) { l.set(way{delay: delay}) }

// Reset ends all connections, as a router does that has forgotten them; new ones go through.
func (l *Link) Reset() {
	for _, p := range l.standing() {
		p.end(true)
	}
}

// Close ends the link and waits for all that it does.
func (l *Link) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	err := l.listener.Close()
	l.Reset()
	l.wait.Wait()
	return err
}

func (l *Link) set(w way) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.way = w
	close(l.changed)
	l.changed = make(chan struct{})
}

// now is what happens at the moment, and a channel that tells when that has changed.
func (l *Link) now() (way, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.way, l.changed
}

func (l *Link) standing() (all []*pair) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.pairs {
		all = append(all, p)
	}
	return all
}

func (l *Link) accept() {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return
		}
		p := &pair{link: l, near: conn, over: make(chan struct{})}
		if l.admit(p) {
			l.wait.Go(p.run)
		} else {
			p.end(true)
		}
	}
}

// admit takes a new connection, unless the link is cut or closed.
func (l *Link) admit(p *pair) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.way.cut || l.closed {
		return false
	}
	l.pairs[p] = true
	return true
}

func (l *Link) forget(p *pair) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pairs, p)
}

// dial reaches the target.
func (l *Link) dial() (net.Conn, error) {
	l.mu.Lock()
	at := l.target
	l.mu.Unlock()
	if at.Name == "" {
		return nil, errors.New("the link leads nowhere")
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialLimit)
	defer cancel()
	return (&net.Dialer{}).DialContext(ctx, at.Network, at.Name)
}

const dialLimit = 5 * time.Second
