package asserts

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"m3o/internal/bus"
	"m3o/internal/fault"
)

// Page is one answer of a raw web handler.
type Page struct {
	t      testing.TB
	name   string
	answer *httptest.ResponseRecorder
	took   time.Duration
}

// Ask sends a request to a raw web handler at its place on the bus. The request's URL is resolved against that place:
// an empty one is the place itself, ?a=b adds a query. Port 0, which stands for any, is asked at 443.
func Ask(t testing.TB, name string, b bus.Bus, host string, port int, path string, r *http.Request) *Page {
	t.Helper()
	base := &url.URL{Scheme: "https", Host: host, Path: path}
	if port != 0 && port != 443 {
		base.Host += ":" + strconv.Itoa(port)
	}
	sent := r.Clone(r.Context())
	sent.URL = base.ResolveReference(r.URL)
	sent.URL.Scheme, sent.URL.Host, sent.Host, sent.RequestURI = base.Scheme, base.Host, base.Host, ""
	if sent.Body == nil {
		sent.Body = http.NoBody
	}
	p := &Page{t: t, name: name, answer: httptest.NewRecorder()}
	began := time.Now()
	b.Handler(host).ServeHTTP(p.answer, sent)
	p.took = time.Since(began)
	return p
}

// Status wants an answer of this status.
func (p *Page) Status(status int) *Page {
	p.t.Helper()
	if p.answer.Code != status {
		p.t.Errorf("%s answers %d, not %d: %s", p.name, p.answer.Code, status, p.answer.Body)
	}
	return p
}

// ErrorCode wants the status of a fault of this code.
func (p *Page) ErrorCode(code fault.Code) *Page {
	p.t.Helper()
	return p.Status(code.Status())
}

// Header wants a header of this value, absent for an empty one.
func (p *Page) Header(name, value string) *Page {
	p.t.Helper()
	if have := p.answer.Header().Get(name); have != value {
		p.t.Errorf("%s: the header %s is %q, not %q", p.name, name, have, value)
	}
	return p
}

// BodyContains wants a body that contains this.
func (p *Page) BodyContains(text string) *Page {
	p.t.Helper()
	if !strings.Contains(p.answer.Body.String(), text) {
		p.t.Errorf("%s: %q is not in the body: %s", p.name, text, p.answer.Body)
	}
	return p
}

// BodyLacks wants a body that does not contain this.
func (p *Page) BodyLacks(text string) *Page {
	p.t.Helper()
	if strings.Contains(p.answer.Body.String(), text) {
		p.t.Errorf("%s: %q is in the body: %s", p.name, text, p.answer.Body)
	}
	return p
}

// Body wants exactly this body.
func (p *Page) Body(text string) *Page {
	p.t.Helper()
	if d := diff(text, p.answer.Body.String()); d != "" {
		p.t.Errorf("%s has another body (-want +have):\n%s", p.name, d)
	}
	return p
}

// CompletedIn wants the answer to have taken no longer than this.
func (p *Page) CompletedIn(limit time.Duration) *Page {
	p.t.Helper()
	if p.took > limit {
		p.t.Errorf("%s took %s, which is longer than %s", p.name, p.took, limit)
	}
	return p
}

// Assert gives the answer to a check of one's own.
func (p *Page) Assert(check func(t testing.TB, answer *http.Response)) *Page {
	p.t.Helper()
	check(p.t, p.answer.Result())
	return p
}

// Get returns the answer, whose body need not be closed.
func (p *Page) Get() *http.Response { return p.answer.Result() }
