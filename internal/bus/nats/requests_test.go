package natsbus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"m3o/internal/auth"
	"m3o/internal/bus"
	natsbus "m3o/internal/bus/nats"
	"m3o/internal/bus/nats/natstest"
	"m3o/internal/fault"
	"m3o/internal/frame"
	"m3o/internal/id"
	"m3o/internal/problem"
)

// patience is how long anything may take here.
const patience = 20 * time.Second

// plane is a server and what processes on it have in common.
type plane struct {
	t      *testing.T
	server *natstest.Server
	config natsbus.Config
}

func newPlane(t *testing.T) *plane {
	t.Helper()
	server := natstest.Start(t)
	return &plane{t, server, natsbus.Config{URL: server.URL, Prefix: natstest.Prefix(t, server.URL), Name: t.Name()}}
}

// process opens the bus of one more process.
func (p *plane) process() *natsbus.Bus {
	p.t.Helper()
	return open(p.t, p.config)
}

// linked is a process that can be killed.
func (p *plane) linked() (*natsbus.Bus, *natstest.Link) {
	p.t.Helper()
	link, c := natstest.NewLink(p.t, p.server.URL), p.config
	c.URL = link.URL
	return open(p.t, c), link
}

func endpoint(h http.HandlerFunc) bus.Endpoint {
	return bus.Endpoint{Host: "one.test", Port: 443, Method: bus.Any, Path: "/", Queue: "one.test", Handler: h}
}

func (p *plane) serve(b *natsbus.Bus, replica string, h http.HandlerFunc) (stop func()) {
	stop = b.Serve(replica, endpoint(h))
	p.t.Cleanup(stop)
	return stop
}

// A request that comes again while it runs is the same request.
func TestARequestThatIsDeliveredTwiceRunsOnce(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	conn, err := nats.Connect(p.server.URL, nats.NoEcho())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	again := make(chan error, 1)
	first, err := conn.Subscribe(p.config.Prefix+".call.*", func(m *nats.Msg) {
		again <- errors.Join(conn.PublishMsg(&nats.Msg{Subject: m.Subject, Reply: m.Reply, Data: m.Data}), conn.Flush())
	})
	if err := errors.Join(err, first.AutoUnsubscribe(1), conn.Flush()); err != nil {
		t.Fatal(err)
	}
	var runs atomic.Int64
	release := make(chan struct{})
	caller, server := p.process(), p.process()
	p.serve(server, "one.test", func(w http.ResponseWriter, _ *http.Request) {
		if runs.Add(1) == 1 {
			<-release
		}
		_, _ = io.WriteString(w, "hello")
	})
	answered := make(chan *httptest.ResponseRecorder)
	go func() { answered <- ask(t.Context(), caller) }()
	if err := <-again; err != nil {
		t.Fatal(err)
	}
	_ = ask(t.Context(), caller) // comes after the repetition, which has been taken then
	close(release)
	if w := <-answered; w.Code != http.StatusOK || w.Body.String() != "hello" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if err := server.Close(); err != nil { // when all that was taken has run
		t.Fatal(err)
	}
	if n := runs.Load(); n != 2 {
		t.Errorf("two requests, of which one came twice, ran %d times", n)
	}
}

func answers(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

// ask asks one.test.
func ask(ctx context.Context, b bus.Bus) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.Handler("one.test").ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "https://one.test/", strings.NewReader("body")))
	return w
}

func faultOf(w *httptest.ResponseRecorder) *fault.Error {
	return problem.Read(w.Code, w.Header(), bytes.NewReader(w.Body.Bytes()))
}

func receive[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	return v
}

// eventually waits until it is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !so(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

func TestWhoIsCallingTravelsAndCannotBeForged(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	caller := p.process()
	seen := make(chan *http.Request, 1)
	p.serve(p.process(), "r1", func(_ http.ResponseWriter, r *http.Request) { seen <- r })
	account := auth.Account{ID: "usr_1", Type: auth.TypeShopUser, Session: "ses_1"}
	ctx := auth.WithClient(auth.With(t.Context(), account), "192.0.2.1")
	ctx = frame.WithBaggage(id.WithRequest(ctx, "req_1"), "X", "1")
	ask(ctx, caller)
	got := receive(t, seen).Context()
	if a, _ := auth.From(got); a != account || auth.Client(got) != "192.0.2.1" || id.Request(got) != "req_1" || frame.Baggage(got, "X") != "1" {
		t.Errorf("got %+v, %s, %s, %+v", a, auth.Client(got), id.Request(got), frame.Of(got))
	}
	w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://one.test/", nil)
	for _, name := range []string{"M3o-Account", "M3o-Account-Id", "M3o-Account-Type", "M3o-Request-Id", "M3o-Client", "X-Forwarded-For"} {
		r.Header.Set(name, "forged")
	}
	caller.Handler("one.test").ServeHTTP(w, r)
	arrived := receive(t, seen)
	if a, ok := auth.From(arrived.Context()); ok || auth.Client(arrived.Context()) != "" || id.Request(arrived.Context()) != "" {
		t.Errorf("headers made %+v of nobody", a)
	}
	if arrived.Header.Get("X-Forwarded-For") != "forged" {
		t.Error("headers do not arrive as they are")
	}
}

// The edge logs what is internal, wherever it has happened.
func TestAnInternalErrorIsToldToTheEdgeAndNotToTheVisitor(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	caller := p.process()
	p.serve(p.process(), "r1", func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, fmt.Errorf("read the safe: %w", errors.New("secret")))
	})
	var observed []error
	w := ask(problem.WithObserver(t.Context(), func(err error) { observed = append(observed, err) }), caller)
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("the visitor sees %d %s", w.Code, w.Body)
	}
	if len(observed) != 1 || !strings.Contains(observed[0].Error(), "read the safe: secret") {
		t.Errorf("the edge was told %v", observed)
	}
}

func TestAPanicIsA500AndItsStackIsTold(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	caller := p.process()
	p.serve(p.process(), "r1", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Half", "yes"); panic("secret") })
	var observed []error
	w := ask(problem.WithObserver(t.Context(), func(err error) { observed = append(observed, err) }), caller)
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") || w.Header().Get("X-Half") != "" {
		t.Errorf("the visitor sees %d %v %s", w.Code, w.Header(), w.Body)
	}
	if len(observed) != 1 || !strings.Contains(observed[0].Error(), "secret") || !strings.Contains(observed[0].Error(), "requests_test.go") {
		t.Errorf("the edge was told %v", observed)
	}
}

func TestAnAnswerThatBreaksOffBreaksTheConnection(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	caller := p.process()
	p.serve(p.process(), "r1", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("recovered %v, want what closes the connection", err)
		}
	}()
	ask(t.Context(), caller)
	t.Error("half an answer looks like a whole one")
}

func TestWebSocketsAreRefusedInPlainWords(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	caller := p.process()
	p.serve(p.process(), "r1", func(w http.ResponseWriter, r *http.Request) {
		_, _, err := http.NewResponseController(w).Hijack()
		problem.Write(w, r, err)
	})
	w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://one.test/", nil)
	r.Header.Set("Upgrade", "websocket")
	caller.Handler("one.test").ServeHTTP(w, r)
	for what, got := range map[string]*httptest.ResponseRecorder{"upgrade": w, "hijack": ask(t.Context(), caller)} {
		if f := faultOf(got); got.Code != http.StatusNotImplemented || !strings.Contains(f.Detail, "NATS") {
			t.Errorf("%s: %d %v", what, got.Code, f)
		}
	}
}

func TestAHeaderThatDoesNotFitIsSaidSo(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	caller := p.process()
	p.serve(p.process(), "r1", answers(""))
	w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://one.test/", nil)
	r.Header.Set("X-Long", strings.Repeat("x", 2<<20))
	caller.Handler("one.test").ServeHTTP(w, r)
	if f := faultOf(w); f.Code != fault.TooLarge || !strings.Contains(f.Detail, "header") {
		t.Errorf("%d %v", w.Code, f)
	}
}

// stuck is an answer that nobody reads.
type stuck struct {
	header  http.Header
	entered chan bool
	leave   chan bool
}

func (w *stuck) Header() http.Header { return w.header }
func (w *stuck) WriteHeader(int)     {}
func (w *stuck) Write(p []byte) (int, error) {
	select {
	case w.entered <- true:
	default:
	}
	<-w.leave
	return len(p), nil
}

func TestAReaderThatStandsStillHoldsItsWriter(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	caller := p.process()
	const all = 16 << 20
	var written atomic.Int64
	p.serve(p.process(), "r1", func(w http.ResponseWriter, _ *http.Request) {
		for range all >> 14 {
			n, _ := w.Write(make([]byte, 1<<14))
			written.Add(int64(n))
		}
	})
	w := &stuck{header: http.Header{}, entered: make(chan bool, 1), leave: make(chan bool)}
	done := make(chan bool)
	go func() {
		defer close(done)
		caller.Handler("one.test").ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://one.test/", nil))
	}()
	receive(t, w.entered)
	settled(t, &written)
	if n := written.Load(); n > 2<<20 {
		t.Errorf("%d bytes were written though nobody reads", n)
	}
	close(w.leave)
	receive(t, done)
	if n := written.Load(); n != all {
		t.Errorf("%d bytes were written in the end", n)
	}
}

func TestAHandlerThatDoesNotReadHoldsTheSender(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	caller := p.process()
	entered, leave := make(chan bool), make(chan bool)
	p.serve(p.process(), "r1", func(_ http.ResponseWriter, r *http.Request) {
		entered <- true
		<-leave
		_, _ = io.Copy(io.Discard, r.Body)
	})
	var sent atomic.Int64
	body := io.TeeReader(io.LimitReader(zeros{}, 16<<20), counter{&sent})
	done := make(chan bool)
	go func() {
		defer close(done)
		caller.Handler("one.test").ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://one.test/", body))
	}()
	receive(t, entered)
	settled(t, &sent)
	if n := sent.Load(); n > 2<<20 {
		t.Errorf("%d bytes were read from the caller though the handler takes none", n)
	}
	close(leave)
	receive(t, done)
	if n := sent.Load(); n != 16<<20 {
		t.Errorf("%d bytes were sent in the end", n)
	}
}

// settled waits until a count has stood still for a while.
func settled(t *testing.T, n *atomic.Int64) {
	t.Helper()
	last, since := int64(-1), time.Now()
	eventually(t, "it stands still", func() bool {
		if now := n.Load(); now != last {
			last, since = now, time.Now()
		}
		return last > 0 && time.Since(since) > 200*time.Millisecond
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) { c.n.Add(int64(len(p))); return len(p), nil }

func TestABodyThatBreaksKeepsItsFault(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	caller := p.process()
	p.serve(p.process(), "r1", func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		problem.Write(w, r, fault.Restate(err, string(text)))
	})
	for _, length := range []int64{-1, 100} {
		w := httptest.NewRecorder()
		body := io.MultiReader(strings.NewReader("half"), errReader{fault.New(fault.TooLarge, "too much")})
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://one.test/", body)
		r.ContentLength = length
		caller.Handler("one.test").ServeHTTP(w, r)
		if f := faultOf(w); f.Code != fault.TooLarge || f.ID != "half" {
			t.Errorf("length %d: %d %v", length, w.Code, f)
		}
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestAReplicaThatIsKilledIsReplacedAndNothingIsExecutedTwice(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	caller := p.process()
	doomed, link := p.linked()
	entered, leave := make(chan bool, 1), make(chan bool)
	p.serve(doomed, "r1", func(http.ResponseWriter, *http.Request) { entered <- true; <-leave })
	t.Cleanup(func() { close(leave) })
	failed := make(chan *httptest.ResponseRecorder, 1)
	go func() { failed <- ask(t.Context(), caller) }()
	receive(t, entered)
	var executed atomic.Int64
	p.serve(p.process(), "r2", func(w http.ResponseWriter, r *http.Request) {
		executed.Add(1)
		_, _ = io.Copy(w, r.Body)
	})
	link.Cut()
	began := time.Now()
	if f := faultOf(receive(t, failed)); f.Code != fault.Unavailable || !strings.Contains(f.Detail, "may have done") {
		t.Errorf("who waited was told %v", f)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("who waited was held for %v", took)
	}
	for range 50 {
		if w := ask(t.Context(), caller); w.Code != 200 || w.Body.String() != "body" {
			t.Fatalf("%d %s though another replica is there", w.Code, w.Body)
		}
	}
	if n := executed.Load(); n != 50 {
		t.Errorf("50 requests were executed %d times", n)
	}
}

// What is sent after a replica has died has not been executed, and goes to another, also
// from those who do not know yet.
func TestRequestsThatReachNobodyGoElsewhere(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	caller := p.process()
	doomed, link := p.linked()
	p.serve(doomed, "r1", answers("1"))
	p.serve(p.process(), "r2", answers("2"))
	link.Cut()
	eventually(t, "the server sees that it has gone", func() bool { return p.server.Clients() == 2 })
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 20 {
				if w := ask(t.Context(), caller); w.Code != 200 || w.Body.String() != "2" {
					t.Errorf("%d %s though another replica is there", w.Code, w.Body)
				}
			}
		})
	}
	wg.Wait()
}

func TestARollingRestartLosesNoRequest(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	caller := p.process()
	start := func() *natsbus.Bus {
		b := p.process()
		b.Serve("r", endpoint(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
		return b
	}
	running := start()
	stop, requests := make(chan bool), atomic.Int64{}
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				requests.Add(1)
				if w := ask(t.Context(), caller); w.Code != 200 || w.Body.String() != "body" {
					t.Errorf("%d %s", w.Code, w.Body)
					return
				}
			}
		})
	}
	for range 5 {
		next := start()
		if err := running.Close(); err != nil {
			t.Error(err)
		}
		running = next
	}
	close(stop)
	callers.Wait()
	t.Logf("%d requests", requests.Load())
}

func TestCloseLetsFinishWhatRuns(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	caller, home := p.process(), p.process()
	entered, leave := make(chan bool, 1), make(chan bool)
	first := sync.Once{}
	home.Serve("r1", endpoint(func(w http.ResponseWriter, _ *http.Request) {
		first.Do(func() {
			entered <- true
			<-leave
		})
		_, _ = io.WriteString(w, "done")
	}))
	answered := make(chan *httptest.ResponseRecorder, 1)
	go func() { answered <- ask(t.Context(), caller) }()
	receive(t, entered)
	closed := make(chan bool)
	go func() { _ = home.Close(); close(closed) }()
	eventually(t, "new ones are refused", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		return ask(ctx, caller).Code == 503
	})
	leave <- true
	if w := receive(t, answered); w.Body.String() != "done" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	receive(t, closed)
}

func TestARestartOfNATSFailsAtOnceAndMends(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	caller, home := p.process(), p.process()
	entered, leave := make(chan bool, 1), make(chan bool)
	p.serve(home, "r1", func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Hang") != "" {
			entered <- true
			<-leave
		}
	})
	t.Cleanup(func() { close(leave) })
	if err := caller.Ready(); err != nil || caller.Disconnected() != 0 {
		t.Errorf("ready: %v, away for %v", err, caller.Disconnected())
	}
	hung := make(chan *httptest.ResponseRecorder, 1)
	go func() {
		w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://one.test/", nil)
		r.Header.Set("X-Hang", "yes")
		caller.Handler("one.test").ServeHTTP(w, r)
		hung <- w
	}()
	receive(t, entered)
	p.server.Stop()
	if f := faultOf(receive(t, hung)); f.Code != fault.Unavailable || !strings.Contains(f.Detail, "may have done") {
		t.Errorf("who waited was told %v", f)
	}
	eventually(t, "it is noticed", func() bool { return caller.Disconnected() > 0 })
	began := time.Now()
	if f := faultOf(ask(t.Context(), caller)); f.Code != fault.Unavailable || !strings.Contains(f.Detail, "not connected") || time.Since(began) > time.Second {
		t.Errorf("meanwhile: %v after %v", f, time.Since(began))
	}
	for reply := range caller.Multicast(httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://one.test/", nil)) {
		if reply.Status != 503 {
			t.Errorf("who cannot be reached answers %d", reply.Status)
		}
	}
	if caller.Ready() == nil {
		t.Error("it says it is ready")
	}
	p.server.Resume()
	eventually(t, "it works again", func() bool { return ask(t.Context(), caller).Code == 200 })
	if caller.Ready() != nil || caller.Disconnected() != 0 {
		t.Errorf("ready: %v, away for %v", caller.Ready(), caller.Disconnected())
	}
}

func TestAMulticastWhileCutOffIsNotSilent(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	caller, link := p.linked()
	p.serve(p.process(), "r1", answers("1"))
	link.Cut()
	eventually(t, "it is noticed", func() bool { return caller.Disconnected() > 0 })
	n := 0
	for reply := range caller.Multicast(httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://one.test/", nil)) {
		if n++; reply.Status != 503 || reply.Replica != "r1" {
			t.Errorf("%+v", reply)
		}
	}
	if n != 1 {
		t.Errorf("%d replies: whoever tells the others something must learn that it cannot", n)
	}
}

// logged is a log that counts the lines which have a text.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func TestAnotherBuildIsLoggedOnce(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	out := &logged{}
	c := p.config
	c.Version, c.Logger = "v1", slog.New(slog.NewTextHandler(out, nil))
	one := open(t, c)
	p.serve(one, "r1", answers("1"))
	c.Version, c.Logger = "v2", nil
	for range 2 {
		other := open(t, c)
		for range 3 {
			if w := ask(t.Context(), other); w.Body.String() != "1" {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
	}
	if n := out.count("another build"); n != 1 || out.count("build=v2") != 1 {
		t.Errorf("it was logged %d times", n)
	}
}

func TestManyProcessesThatComeAtOnceKnowEachOther(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	const n = 6
	all := make([]*natsbus.Bus, n)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			b, err := natsbus.Open(t.Context(), p.config)
			if err != nil {
				t.Error(err)
				return
			}
			all[i] = b
			t.Cleanup(func() { _ = b.Close() })
			b.Serve(fmt.Sprint("r", i), bus.Endpoint{Host: "one.test", Port: 443, Method: bus.Any, Path: "/", Handler: answers("")})
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for i, b := range all {
		eventually(t, fmt.Sprintf("process %d reaches all", i), func() bool {
			replies := 0
			for reply := range b.Multicast(httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://one.test/", nil)) {
				if reply.Status == 200 {
					replies++
				}
			}
			return replies == n
		})
	}
}

// stranger speaks the protocol of the roster as another build might.
func (p *plane) stranger(note string) *nats.Conn {
	p.t.Helper()
	nc, err := nats.Connect(p.server.URL)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(nc.Close)
	for _, subject := range []string{".call.prc_stranger", ".roster.prc_stranger"} {
		if _, err := nc.Subscribe(p.config.Prefix+subject, func(*nats.Msg) {}); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := nc.Publish(p.config.Prefix+".roster.all", []byte(note)); err != nil {
		p.t.Fatal(err)
	}
	return nc
}

func TestAProcessThatSaysNothingIsTakenForDead(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	caller := p.process()
	p.stranger(`{"kind":"serve","process":"prc_stranger","serve":1,"replica":"r1","new":{},"endpoints":[{"host":"one.test","port":443,"method":"ANY","path":"/","queue":"q"}]}`)
	eventually(t, "it is known", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		return ask(ctx, caller).Code == http.StatusRequestTimeout
	})
	began := time.Now()
	if f := faultOf(ask(t.Context(), caller)); f.Code != fault.Unavailable || !strings.Contains(f.Detail, "may have done") || time.Since(began) > 10*time.Second {
		t.Errorf("%v after %v", f, time.Since(began))
	}
	if f := faultOf(ask(t.Context(), caller)); f.Code != fault.Unavailable || !strings.Contains(f.Detail, "nobody serves") {
		t.Errorf("then: %v", f)
	}
}

func TestWhatAnotherBuildSaysWronglyHarmsNobody(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	caller := p.process()
	p.serve(p.process(), "r1", answers("1"))
	nc := p.stranger(`{"kind":"serve","process":"prc_stranger","serve":1,"replica":"","endpoints":[{"host":"one.test","port":443,"method":"ANY","path":"/"}]}`)
	for _, text := range []string{
		`{"kind":"serve","process":"prc_stranger","serve":2,"replica":"r2","endpoints":[{"host":"a..b","port":-1,"method":"get","path":"x{"}]}`,
		`{"kind":"beat","process":"prc_stranger","serves":[9,9,9]}`, `{"kind":"unheard of","process":"prc_stranger"}`, `{"kind":"serve"}`, `{`, ``,
	} {
		if err := nc.Publish(p.config.Prefix+".roster.all", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if w := ask(t.Context(), caller); w.Body.String() != "1" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}
