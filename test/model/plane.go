package model

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"m3o/internal/bus"
	"m3o/test/model/first"
	"m3o/test/model/first/firstapi"
	"m3o/test/model/listener"
	"m3o/test/model/second"
	"m3o/test/model/second/secondapi"
	"m3o/test/model/source/sourceapi"
	"m3o/test/model/thing"
	"m3o/test/model/thing/thingapi"
	"m3o/test/model/third"
	"m3o/test/model/third/thirdapi"
	"m3o/test/model/witness"
)

// plane is where one check happens: the bus of the process that calls, and the processes
// that the check adds.
type plane struct {
	t       *testing.T
	process func() bus.Bus
	caller  bus.Bus
}

// patience is how long a check waits for what must come.
const patience = 10 * time.Second

// member is a service as the plane starts it.
type member interface {
	Register(b bus.Bus) (stop func())
}

// join starts a service in a process of its own.
func (p *plane) join(s member) (stop func()) {
	stop = s.Register(p.process())
	p.t.Cleanup(stop)
	return stop
}

// thing starts a replica of thing.
func (p *plane) thing() *thing.Service {
	p.t.Helper()
	s := must(thing.New())(p.t)
	p.join(s)
	p.t.Cleanup(s.Release) // before it stops
	return s
}

// client starts a replica of thing and returns a client of it.
func (p *plane) client() thingapi.Client {
	p.t.Helper()
	p.thing()
	return thingapi.NewClient(p.caller)
}

// chain starts the three services that call each other, each in a process of its own.
func (p *plane) chain() firstapi.Client {
	p.t.Helper()
	one, two := p.process(), p.process()
	p.join(must(third.New(time.Now))(p.t))
	p.t.Cleanup(must(second.New(second.Deps{Third: thirdapi.NewClient(two), Now: time.Now}))(p.t).Register(two))
	p.t.Cleanup(must(first.New(first.Deps{
		Second: secondapi.NewClient(one), Self: firstapi.NewClient(one), All: firstapi.NewMulticastClient(one), Now: time.Now,
	}))(p.t).Register(one))
	return firstapi.NewClient(p.caller)
}

// listener starts a replica of listener.
func (p *plane) listener() *listener.Service {
	p.t.Helper()
	s := must(listener.New())(p.t)
	p.join(s)
	return s
}

// witness starts a replica of witness.
func (p *plane) witness() *witness.Service {
	p.t.Helper()
	s := must(witness.New())(p.t)
	p.join(s)
	return s
}

// trigger fires the events of source.
func (p *plane) trigger() sourceapi.MulticastTrigger { return sourceapi.NewMulticastTrigger(p.caller) }

// must is what a constructor has made.
func must[S any](s S, err error) func(t *testing.T) S {
	return func(t *testing.T) S {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// request is a request as a program outside the house would send it.
type request struct{ method, url, kind, body string }

// send sends a request and returns the whole answer.
func (p *plane) send(r request) *httptest.ResponseRecorder {
	p.t.Helper()
	return p.do(p.t.Context(), r, nil)
}

// do is send with a context and headers.
func (p *plane) do(ctx context.Context, r request, header http.Header) *httptest.ResponseRecorder {
	p.t.Helper()
	var body io.Reader
	if r.body != "" {
		body = strings.NewReader(r.body)
	}
	sent, err := http.NewRequestWithContext(ctx, r.method, r.url, body)
	if err != nil {
		p.t.Fatal(err)
	}
	for name, values := range header {
		sent.Header[name] = values
	}
	if r.kind != "" {
		sent.Header.Set("Content-Type", r.kind)
	}
	w := httptest.NewRecorder()
	p.caller.Handler(sent.URL.Hostname()).ServeHTTP(w, sent)
	return w
}

// eventually waits until it is so.
func (p *plane) eventually(what string, so func() bool) {
	p.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !so(); <-tick.C {
		if time.Now().After(end) {
			p.t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// within fails unless what was tried took between least and most. It may try again:
// something else may have used the machine. Too early is never an excuse.
func within(t *testing.T, least, most time.Duration, try func()) {
	t.Helper()
	var took time.Duration
	for range 5 {
		began := time.Now()
		try()
		if took = time.Since(began); took < least {
			break
		}
		if took <= most {
			return
		}
	}
	t.Errorf("it took %s, not %s to %s", took, least, most)
}
