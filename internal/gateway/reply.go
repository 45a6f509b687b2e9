package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"m3o/internal/fault"
)

// holdMost is how much of an answer is held so that it goes out as one frame. A
// longer one goes out in pieces, so that it is not held whole.
const holdMost = 64 << 10

// reply is the answer to a client's message: one WebSocket message, or one for each
// message of a stream.
type reply struct {
	socket *socket
	header http.Header
	status int
	failed bool // the stream has ended with a problem
	err    error

	stream *splitter // nil: the answer is one message
	held   []byte
	pieces *pieces // of an answer that is too long to be held
}

func newReply(c *socket) *reply { return &reply{socket: c, header: http.Header{}} }

// Header is what the target says about its answer; only the kind of it matters here.
func (w *reply) Header() http.Header { return w.header }

// WriteHeader begins the answer.
func (w *reply) WriteHeader(status int) {
	if w.status != 0 || status < 200 {
		return
	}
	w.status = status
	kind := w.header.Get("Content-Type")
	if status < 400 && (isLines(kind) || isEvents(kind)) {
		w.stream = &splitter{events: isEvents(kind), limit: int(w.socket.limit), emit: w.say}
	}
}

// say sends a message of a stream.
func (w *reply) say(message []byte) error {
	w.failed = isProblem(message)
	return w.socket.write(websocket.MessageText, message)
}

// Write takes more of the answer. Its error, that the client has gone or may not hear
// more, ends the target's work.
func (w *reply) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.err == nil {
		w.err = context.Cause(w.socket.calls)
	}
	if w.err == nil {
		w.err = w.take(p)
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

func (w *reply) take(p []byte) error {
	switch {
	case w.stream != nil:
		_, err := w.stream.Write(p)
		return err
	case w.pieces != nil:
		return w.pieces.write(p)
	case len(w.held)+len(p) <= holdMost:
		w.held = append(w.held, p...)
		return nil
	}
	held := w.held
	w.pieces, w.held = &pieces{socket: w.socket, kind: w.kind()}, nil
	if err := w.pieces.write(held); err != nil {
		return err
	}
	return w.pieces.write(p)
}

// FlushError makes the reply an http.Flusher: messages go out when they are complete.
func (w *reply) FlushError() error { return w.err }

// kind is text for what is one, by its Content-Type or its looks.
func (w *reply) kind() websocket.MessageType {
	kind := strings.ToLower(w.header.Get("Content-Type"))
	isText := isKind(kind, "text/") || strings.Contains(kind, "json") || strings.Contains(kind, "xml")
	if isText || kind == "" && utf8.Valid(w.held) {
		return websocket.MessageText
	}
	return websocket.MessageBinary
}

// end completes the answer. An answer without a body is an empty message, so that a
// client has one for each of its own.
func (w *reply) end() error {
	switch {
	case w.err != nil:
		return w.err
	case w.stream != nil:
		return w.stream.end()
	case w.pieces != nil:
		return w.pieces.end()
	}
	return w.socket.write(w.kind(), w.held)
}

// fault is the problem with which a reply that could not be completed ends: nil when
// the client has gone.
func (w *reply) fault(err error) error {
	if f := (*fault.Error)(nil); errors.As(err, &f) {
		return f
	}
	return nil
}

// pieces is a long message that goes out while it comes. Each piece must be taken
// within the time for a frame.
type pieces struct {
	socket *socket
	kind   websocket.MessageType
	out    io.WriteCloser // nil: not begun
	late   *time.Timer
	cancel context.CancelFunc
}

func (m *pieces) write(p []byte) (err error) {
	if m.out == nil {
		var ctx context.Context
		ctx, m.cancel = context.WithCancel(m.socket.life)
		m.late = time.AfterFunc(frameLimit, m.cancel)
		if m.out, err = m.socket.conn.Writer(ctx, m.kind); err != nil {
			return err
		}
	}
	m.late.Reset(frameLimit)
	_, err = m.out.Write(p)
	m.late.Stop()
	return err
}

func (m *pieces) end() error {
	defer m.cancel()
	m.late.Reset(frameLimit)
	defer m.late.Stop()
	return m.out.Close()
}
