package bus

import (
	"bytes"
	"context"
	"net/http"
	"sync"

	"m3o/internal/fault"
	"m3o/internal/frame"
	"m3o/internal/problem"
)

// gathering is the answers to a multicast request while they come in.
type gathering struct {
	replies chan Reply    // with room for all, so that nobody waits for a reader
	request *http.Request // what is answered in place of the late

	mu      sync.Mutex
	asked   []asked
	heard   []bool
	left    int
	unwatch func() bool
}

func newGathering(asked []asked) *gathering {
	g := &gathering{asked: asked, replies: make(chan Reply, len(asked)), heard: make([]bool, len(asked)), left: len(asked)}
	if len(asked) == 0 {
		close(g.replies)
	}
	return g
}

// watch answers for whoever has not answered by the end of r's context.
func (g *gathering) watch(r *http.Request) {
	if r.Context().Done() == nil {
		return
	}
	g.request = expiring(r)
	g.mu.Lock()
	defer g.mu.Unlock() // it may be over already
	g.unwatch = context.AfterFunc(r.Context(), g.expire)
}

// expiring is as much of r as the answer to it wants when its time is over: r itself
// is the caller's again, and the copies are the handlers'.
func expiring(r *http.Request) *http.Request {
	within := http.Header{}
	if depth := r.Header[frame.HeaderDepth]; len(depth) > 0 {
		within[frame.HeaderDepth] = depth
	}
	u := *r.URL
	return (&http.Request{Method: r.Method, URL: &u, Header: within}).WithContext(r.Context())
}

func (g *gathering) expire() {
	for i := range g.heard {
		w := &recorder{}
		problem.Write(w, g.request, Expired(g.request))
		g.answer(i, w)
	}
}

// asks notes that another is asked for the i-th answer.
func (g *gathering) asks(i int, one *server) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked[i].server = one
}

// withdraw notes that there is nobody to give the i-th answer.
func (g *gathering) withdraw(i int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.heard[i] {
		g.done(i)
	}
}

// answer takes the first answer of the i-th who was asked; what comes later is unheard.
func (g *gathering) answer(i int, w *recorder) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.heard[i] {
		return
	}
	g.replies <- w.reply(g.asked[i].server)
	g.done(i)
}

// done closes the channel after the last of them.
func (g *gathering) done(i int) {
	g.heard[i] = true
	if g.left--; g.left > 0 {
		return
	}
	if g.unwatch != nil {
		g.unwatch()
	}
	close(g.replies)
}

// Expired is the fault of who did not answer r before its context ended.
func Expired(r *http.Request) error {
	return fault.New(fault.Expired, "%s did not answer in the caller's time; it may have done what it was asked", r.URL.Hostname())
}

// recorder keeps an answer. Its zero value is the empty answer 200.
type recorder struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header {
	if w.header == nil {
		w.header = http.Header{}
	}
	return w.header
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 { // 1xx is no answer yet
		w.status = status
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// Awaited says that whoever gathers answers waits no longer than the request's time.
func (w *recorder) Awaited() {}

// Abort implements Aborter.
func (w *recorder) Abort(r *http.Request, err error) {
	*w = recorder{}
	problem.Write(w, r, err)
}

func (w *recorder) reply(by *server) Reply {
	w.WriteHeader(http.StatusOK)
	return Reply{Replica: by.replica.name, Queue: by.Queue, Status: w.status, Header: w.Header(), Body: w.body.Bytes()}
}
