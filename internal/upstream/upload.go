package upstream

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long a body waits for the 100 that its caller expects. Many servers
// never send one (RFC 9110 section 10.1.1).
const patience = time.Second

// upload sends the body of a request while its answer is read: a server may answer
// before it has seen all of it.
type upload struct {
	c        *conn
	body     io.Reader
	length   int64 // -1: in chunks
	wanted   chan struct{}
	over     chan struct{} // closed: nobody wants the rest
	ended    chan struct{}
	drained  atomic.Bool // all of the body has been read
	complete atomic.Bool // and sent

	mu    sync.Mutex
	fault error // why the caller's body could not be read
}

// start begins to send, at once or when the server wants the body.
func (t *Target) start(c *conn, r *http.Request) *upload {
	u := &upload{c: c, body: r.Body, length: lengthOf(r), wanted: make(chan struct{}), over: make(chan struct{}), ended: make(chan struct{})}
	if !expects(r) {
		close(u.wanted)
	}
	go func() {
		defer close(u.ended)
		if !u.waits() {
			return
		}
		b := t.buffer()
		defer t.buffers.Put(b)
		if u.send(*b) == nil {
			u.complete.Store(true)
		}
	}()
	return u
}

// waits says whether the body is to be sent.
func (u *upload) waits() bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-u.over:
		return false
	case <-u.wanted:
	case <-timer.C:
	}
	return true
}

// proceed is called when the server wants the body.
func (u *upload) proceed() {
	if u == nil {
		return
	}
	select {
	case <-u.wanted:
	default:
		close(u.wanted)
	}
}

// send sends all of the body. A body that cannot be read takes the connection down, so
// that nobody waits for the answer to half a request.
func (u *upload) send(b []byte) error {
	for left := u.length; left != 0; {
		n, err := u.next(b, left)
		if left > 0 {
			left -= int64(n)
		}
		ends := left == 0 || left < 0 && errors.Is(err, io.EOF)
		u.drained.Store(ends)
		if werr := u.write(b, n); werr != nil {
			return werr // whatever the server has said to that can still be read
		}
		if ends {
			break
		}
		if err != nil {
			u.fail(err)
			return err
		}
	}
	return u.close()
}

// close ends a body in chunks.
func (u *upload) close() error {
	if u.length >= 0 {
		return nil
	}
	_, err := io.WriteString(u.c, "0\r\n\r\n")
	return err
}

// The room that a chunk needs around its bytes in a buffer.
const (
	beforeChunk = len("ffffffff\r\n")
	afterChunk  = len("\r\n")
)

// next reads some of the body to where write takes it from.
func (u *upload) next(b []byte, left int64) (int, error) {
	b = b[beforeChunk : len(b)-afterChunk]
	if left > 0 {
		b = b[:min(int64(len(b)), left)]
	}
	n, err := u.body.Read(b)
	if errors.Is(err, io.EOF) && left > int64(n) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// write sends n bytes that were read.
func (u *upload) write(b []byte, n int) error {
	if n == 0 {
		return nil // as a chunk, it would be the last one
	}
	from, to := beforeChunk, beforeChunk+n
	if u.length < 0 {
		var size [beforeChunk]byte
		head := append(strconv.AppendInt(size[:0], int64(n), 16), "\r\n"...)
		from -= copy(b[from-len(head):], head)
		to += copy(b[to:], "\r\n")
	}
	_, err := u.c.Write(b[from:to])
	return err
}

func (u *upload) fail(err error) {
	u.mu.Lock()
	u.fault = &bodyError{err}
	u.mu.Unlock()
	u.c.abort()
}

// cause is why a call failed that got no answer: the body, when that could not be read.
func (u *upload) cause(err error) error {
	if u.isDrained() {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.fault != nil {
		return u.fault
	}
	return &unsentError{err}
}

// isDrained says whether nothing more of the caller's body will be read; with no upload
// there is none.
func (u *upload) isDrained() bool { return u == nil || u.drained.Load() }

// moment is how long the last bytes of a request may be on their way when its answer
// is there already.
const moment = 10 * time.Millisecond

// stop waits until nobody reads the caller's body any more, and says whether all of it
// was sent. When it was not, the connection is closed.
func (u *upload) stop() bool {
	if u == nil {
		return true
	}
	close(u.over)
	if u.drained.Load() {
		timer := time.AfterFunc(moment, u.c.abort)
		<-u.ended
		return timer.Stop() && u.complete.Load()
	}
	u.c.abort()
	<-u.ended
	return false
}
