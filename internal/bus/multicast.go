package bus

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"m3o/internal/fault"
	"m3o/internal/problem"
)

// eventName is the name of a multicast event within a process.
func eventName(host, event string) string { return strings.ToLower(host) + "/" + event }

// listener is a member of a group that listens to a multicast event.
type listener struct {
	group   string
	handler http.Handler
	running gate
	turn    atomic.Uint64 // whose turn it is in the group; of its oldest member
}

// Listen implements Bus.
func (m *Memory) Listen(host, event, group string, h http.Handler) (stop func()) {
	l := &listener{group: group, handler: h}
	remove := m.listeners.add(eventName(host, event), l)
	return func() {
		remove()
		l.running.close()
	}
}

// Multicast implements Bus.
func (m *Memory) Multicast(ctx context.Context, host, event string, r *http.Request) []Reply {
	chosen := choose(m.listeners.get(eventName(host, event)))
	defer func() {
		for _, l := range chosen {
			l.running.leave()
		}
	}()
	body, err := readBody(r)
	replies := make([]Reply, len(chosen))
	var wg sync.WaitGroup
	for i, l := range chosen {
		wg.Go(func() {
			answer := recorder{}
			if err != nil {
				problem.Write(&answer, r, fault.New(fault.Invalid, "the body of event %s cannot be read: %v", event, err))
			} else {
				m.answer(&answer, l, copyRequest(ctx, r, body))
			}
			replies[i] = answer.reply(l.group)
		})
	}
	wg.Wait()
	return replies
}

// choose enters one listener of each group, the groups sorted by name. A group
// whose listeners are all about to stop is gone.
func choose(listeners []*listener) []*listener {
	groups := map[string][]*listener{}
	for _, l := range listeners {
		groups[l.group] = append(groups[l.group], l)
	}
	chosen := make([]*listener, 0, len(groups))
	for _, members := range groups {
		turn := members[0].turn.Add(1)
		for i := range uint64(len(members)) {
			if l := members[(turn+i)%uint64(len(members))]; l.running.enter() {
				chosen = append(chosen, l)
				break
			}
		}
	}
	slices.SortFunc(chosen, func(a, b *listener) int { return strings.Compare(a.group, b.group) })
	return chosen
}

// answer lets l serve r. A panic becomes a 500 that replaces what was written.
func (m *Memory) answer(w *recorder, l *listener, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			m.config.Logger.ErrorContext(r.Context(), "listener panicked",
				"group", l.group, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			*w = recorder{}
			problem.Write(w, r, fmt.Errorf("listener of %s panicked: %v", l.group, p))
		}
	}()
	l.handler.ServeHTTP(w, r)
}

// readBody reads what the copies of a request share; it closes r.Body.
func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	defer r.Body.Close()
	return io.ReadAll(r.Body)
}

func copyRequest(ctx context.Context, r *http.Request, body []byte) *http.Request {
	c := r.Clone(ctx)
	c.Body = io.NopCloser(bytes.NewReader(body))
	c.ContentLength = int64(len(body))
	return c
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

func (w *recorder) reply(group string) Reply {
	w.WriteHeader(http.StatusOK)
	return Reply{Group: group, Status: w.status, Header: w.Header(), Body: w.body.Bytes()}
}
