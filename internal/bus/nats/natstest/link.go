package natstest

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// Link is a way to a server that can be cut.
type Link struct {
	URL string

	server   string
	listener net.Listener
	mu       sync.Mutex
	cut      bool
	ends     map[net.Conn]bool
	running  sync.WaitGroup
}

// NewLink opens a way to the server of url until the test ends.
func NewLink(t testing.TB, url string) *Link {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Link{URL: "nats://" + listener.Addr().String(), server: strings.TrimPrefix(url, "nats://"), listener: listener, ends: map[net.Conn]bool{}}
	ctx := context.WithoutCancel(t.Context())
	l.running.Go(func() { l.accept(ctx) })
	t.Cleanup(func() {
		_ = listener.Close()
		l.Cut()
		l.running.Wait()
	})
	return l
}

// Cut closes the connections and refuses new ones, as for a process that was killed.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for end := range l.ends {
		_ = end.Close()
	}
}

// Mend lets connections through again.
func (l *Link) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}

func (l *Link) accept(ctx context.Context) {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		far, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.server)
		if err != nil || !l.keep(near, far) {
			_ = near.Close()
			if far != nil {
				_ = far.Close()
			}
			continue
		}
		l.running.Go(func() { l.pipe(near, far) })
		l.running.Go(func() { l.pipe(far, near) })
	}
}

// keep notes both ends, so that they can be cut; false when the link is.
func (l *Link) keep(near, far net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return false
	}
	l.ends[near], l.ends[far] = true, true
	return true
}

// pipe carries one direction; the end of one is the end of both.
func (l *Link) pipe(from, to net.Conn) {
	_, _ = io.Copy(to, from)
	_, _ = from.Close(), to.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.ends, from)
	delete(l.ends, to)
}
