package asserts_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/rpc/rpctest/asserts"
)

// recorder is a test that notes its failures.
type recorder struct {
	testing.TB
	failed  []string
	cleanup []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanup = append(r.cleanup, f) }
func (r *recorder) Errorf(format string, args ...any) {
	r.failed = append(r.failed, fmt.Sprintf(format, args...))
}

// told are the failures since the last time.
func (r *recorder) told() string {
	all := strings.Join(r.failed, "\n")
	r.failed = nil
	return all
}

// expect fails unless what was told contains want, or nothing was told for an empty one.
func (r *recorder) expect(t *testing.T, want string) {
	t.Helper()
	if have := r.told(); have != want && (want == "" || !strings.Contains(have, want)) {
		t.Errorf("told %q, not %q", have, want)
	}
}

type out struct {
	N    int
	List []string
}

func TestCase_TellsWhatDoesNotHold(t *testing.T) {
	t.Parallel()
	r := &recorder{TB: t}
	good := asserts.Call(r, "Foo", func() (out, error) { return out{N: 1}, nil })
	bad := asserts.Call(r, "Foo", func() (out, error) { return out{}, fault.New(fault.NotFound, "nothing here") })
	good.NoError().Expect(out{N: 1, List: []string{}}).CompletedIn(time.Minute).Assert(func(t testing.TB, o out, err error) {
		if o.N != 1 || err != nil {
			t.Errorf("%v %v", o, err)
		}
	})
	bad.Error("nothing").ErrorCode(fault.NotFound)
	r.expect(t, "")
	good.Expect(out{N: 2})
	r.expect(t, "Foo answers something else (-want +have)")
	good.Error("x")
	r.expect(t, `Foo: want an error that says "x", not <nil>`)
	good.ErrorCode(fault.NotFound)
	r.expect(t, "Foo: want not_found, not <nil>")
	bad.NoError()
	r.expect(t, "Foo: not_found: nothing here")
	bad.Expect(out{})
	r.expect(t, "Foo: not_found: nothing here")
	bad.Error("another")
	r.expect(t, "another")
	bad.ErrorCode(fault.Invalid)
	r.expect(t, "want invalid")
	bad.Assert(func(t testing.TB, _ out, err error) { t.Errorf("mine: %v", err) })
	r.expect(t, "mine: not_found")
	if o, err := good.Get(); o.N != 1 || err != nil {
		t.Error(o, err)
	}
}

func TestCase_TellsWhatTookTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{TB: t}
		c := asserts.Call(r, "Foo", func() (asserts.Nothing, error) {
			time.Sleep(time.Second)
			return asserts.Nothing{}, nil
		})
		c.CompletedIn(time.Second)
		r.expect(t, "")
		c.CompletedIn(time.Second - 1)
		r.expect(t, "Foo took 1s, which is longer than")
	})
}

// served is a bus with one endpoint.
func served(t testing.TB, b bus.Bus, e bus.Endpoint, handle http.HandlerFunc) bus.Bus {
	t.Helper()
	e.Host, e.Handler = "thing.test", handle
	t.Cleanup(b.Serve("me", e))
	return b
}

func TestPage_TellsWhatDoesNotHold(t *testing.T) {
	t.Parallel()
	b := served(t, asserts.NewBus(), bus.Endpoint{Port: 444, Method: bus.Any, Path: "/page/{id}", Queue: "q"}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Kind", r.URL.RawQuery)
		w.WriteHeader(http.StatusTeapot)
		body, err := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s %s %v", r.Method, r.URL.Path, body, err)
	})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "/page/7?a=b", strings.NewReader("hi"))
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{TB: t}
	p := asserts.Ask(r, "Page", b, "thing.test", 444, "/page/{id}", request)
	p.Status(http.StatusTeapot).Header("X-Kind", "a=b").Header("X-None", "").Body("PUT /page/7 hi <nil>").BodyContains("hi").BodyLacks("ho").CompletedIn(time.Minute)
	r.expect(t, "")
	p.Status(200)
	r.expect(t, "Page answers 418, not 200: PUT /page/7 hi")
	p.ErrorCode(fault.NotFound)
	r.expect(t, "not 404")
	p.Header("X-Kind", "b")
	r.expect(t, `the header X-Kind is "a=b", not "b"`)
	p.Body("hi")
	r.expect(t, "Page has another body")
	p.BodyContains("ho")
	r.expect(t, `"ho" is not in the body`)
	p.BodyLacks("hi")
	r.expect(t, `"hi" is in the body`)
	p.Assert(func(t testing.TB, answer *http.Response) { t.Errorf("mine: %d", answer.StatusCode) })
	r.expect(t, "mine: 418")
	if p.Get().StatusCode != http.StatusTeapot {
		t.Error(p.Get())
	}
	empty, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "?c=d", nil)
	if err != nil {
		t.Fatal(err)
	}
	asserts.Ask(r, "Page", b, "thing.test", 444, "/page/9", empty).Body("GET /page/9  <nil>").Header("X-Kind", "c=d")
	r.expect(t, "")
}

// event is a source with one sink, as generated code makes them.
type event struct {
	sinks []func(int) (string, error)
}

func (e *event) listen(call func(int) (string, error)) (stop func()) {
	e.sinks = append(e.sinks, call)
	return func() { e.sinks = nil }
}

func TestSink_HearsOneFiring(t *testing.T) {
	t.Parallel()
	r, e := &recorder{TB: t}, &event{}
	s := asserts.Hear(r, "OnDone", e.listen).Expect(7).Return("yes", errors.New("no"))
	if answer, err := e.sinks[0](7); answer != "yes" || err == nil {
		t.Error(answer, err)
	}
	if answer, err := e.sinks[0](8); answer != "" || err != nil {
		t.Error("it heard a second firing", answer, err)
	}
	s.Wait()
	r.expect(t, "")
	if len(e.sinks) != 0 {
		t.Error("it still listens")
	}
	s = asserts.Hear(r, "OnDone", e.listen).Expect(7).Assert(func(t testing.TB, n int) { t.Errorf("mine: %d", n) })
	if _, err := e.sinks[0](8); err != nil {
		t.Error(err)
	}
	s.Wait()
	if all := r.told(); !strings.Contains(all, "OnDone tells something else (-want +have)") || !strings.Contains(all, "mine: 8") {
		t.Error(all)
	}
	if len(r.cleanup) != 2 {
		t.Errorf("%d clean-ups", len(r.cleanup))
	}
}

func TestSink_DoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, e := &recorder{TB: t}, &event{}
		asserts.Hear(r, "OnDone", e.listen).Wait()
		r.expect(t, "OnDone was not fired within 10s")
	})
}

func TestEachWay_DeliversTwiceOverTheBusOnly(t *testing.T) {
	t.Parallel()
	asserts.EachWay(t, func(t *testing.T, b bus.Bus, direct bool) {
		calls := 0
		served(t, b, bus.Endpoint{Port: 443, Method: bus.Any, Path: "/", Queue: "q"}, func(_ http.ResponseWriter, r *http.Request) {
			if body, err := io.ReadAll(r.Body); string(body) != "hi" || err != nil {
				t.Error(string(body), err)
			}
			calls++
		})
		for key, want := range map[string]int{"": 1, "k": 2} {
			calls = 0
			send(t.Context(), t, b, key)
			if direct {
				want = 1
			}
			if calls != want {
				t.Errorf("direct %t, key %q: %d deliveries", direct, key, calls)
			}
		}
	})
}

func TestTwice_TellsOfAnotherAnswer(t *testing.T) {
	t.Parallel()
	r, n := &recorder{TB: t}, 0
	b := served(t, asserts.Twice(r, asserts.NewBus()), bus.Endpoint{Port: 443, Method: http.MethodPost, Path: "/", Queue: "q"}, func(w http.ResponseWriter, _ *http.Request) {
		n++
		_, _ = fmt.Fprint(w, n)
	})
	send(t.Context(), t, b, "k")
	r.expect(t, "thing.test/ delivered twice answers 200 1, then 200 2")
}

func send(ctx context.Context, t *testing.T, b bus.Bus, key string) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader("hi"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Idempotency-Key", key)
	asserts.Ask(t, "thing", b, "thing.test", 443, "/", request).Status(http.StatusOK)
}
