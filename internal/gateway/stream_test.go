package gateway_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"m3o/internal/publicapi/publicapiapi"
)

// flow is an answer that arrives piece by piece.
type flow struct {
	t    *testing.T
	body *bufio.Reader
	stop context.CancelFunc
	head *http.Response
}

// begin makes a call and returns when its answer has begun.
func (s port) begin(t *testing.T, key, path string, header ...string) flow {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.at+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	transport := &http.Transport{DisableCompression: true}
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = answer.Body.Close()
		transport.CloseIdleConnections()
	})
	return flow{t, bufio.NewReader(answer.Body), cancel, answer}
}

func (f flow) hears(want string) {
	f.t.Helper()
	got, err := f.body.ReadString('\n')
	if err != nil || got != want+"\n" {
		f.t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

// aside puts a server on sale as demo, beside what the bus serves.
func (s port) aside(h http.HandlerFunc) {
	s.t.Helper()
	upstream := httptest.NewServer(h)
	s.t.Cleanup(upstream.Close)
	s.offerAt(upstream.URL, publicapiapi.EndpointRoute{Name: "Demo.Lines", Path: "/lines", Price: 10_000, Stream: true})
}

// drops is a target that sends a line whenever it is told to.
func drops(kind string, next <-chan string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		for {
			select {
			case text, more := <-next:
				if !more {
					return
				}
				_, _ = io.WriteString(w, text+"\n")
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}
}

func TestStreamsPassUnbuffered(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]string{"lines": "application/x-ndjson", "events": "text/event-stream", "chunks": "application/json", "text": "text/plain"} {
		for where, sell := range map[string]func(port, http.HandlerFunc){
			"service":  func(s port, h http.HandlerFunc) { s.answer(h) },
			"upstream": func(s port, h http.HandlerFunc) { s.aside(h) },
		} {
			t.Run(name+" of a "+where, func(t *testing.T) {
				t.Parallel()
				s := newPort(t).edge()
				s.credit(100_000)
				next := make(chan string)
				sell(s, drops(kind, next))
				go func() { next <- "first" }()
				answer := s.begin(t, s.key(nil), "/v1/demo/lines", "Accept-Encoding", "gzip")
				answer.hears("first")
				s.wantBalance(90_000)
				for _, text := range []string{"second", "third"} { // each is awaited before the next is sent
					next <- text
					answer.hears(text)
				}
				close(next)
				if rest, err := io.ReadAll(answer.body); err != nil || len(rest) > 0 || answer.head.Header.Get("Content-Encoding") != "" {
					t.Errorf("the rest is %q, %v, %v", rest, err, answer.head.Header)
				}
				s.wantBalance(90_000)
			})
		}
	}
}

func TestACallerThatGoesMidAnswerIsChargedOnce(t *testing.T) {
	t.Parallel()
	for where, sell := range map[string]func(port, http.HandlerFunc){
		"service":  func(s port, h http.HandlerFunc) { s.answer(h) },
		"upstream": func(s port, h http.HandlerFunc) { s.aside(h) },
	} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			s := newPort(t).edge()
			s.credit(100_000)
			ended := make(chan struct{})
			sell(s, func(w http.ResponseWriter, r *http.Request) {
				lines(`{"n":1}`)(w, r)
				<-r.Context().Done()
				close(ended)
			})
			answer := s.begin(t, s.key(nil), "/v1/demo/lines")
			answer.hears(`{"n":1}`)
			answer.stop()
			<-ended // the target hears of it
			s.wantBalance(90_000)
			if records := s.records(); len(records) != 1 || records[0].Price != 10_000 {
				t.Errorf("records %+v", records)
			}
		})
	}
}

func TestACallerThatGoesBeforeTheAnswerIsNotCharged(t *testing.T) {
	t.Parallel()
	s := newPort(t).edge()
	s.credit(100_000)
	called, ended := make(chan struct{}), make(chan struct{})
	s.aside(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not hear that its caller goes
		close(called)
		<-r.Context().Done()
		close(ended)
	})
	key := s.key(nil)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.at+"/v1/demo/lines", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	go func() {
		<-called
		cancel()
	}()
	if answer, err := http.DefaultClient.Do(r); err == nil {
		_ = answer.Body.Close()
		t.Fatalf("it was answered with %d", answer.StatusCode)
	}
	<-ended
	s.wantBalance(100_000)
	if n := len(s.records()); n != 0 {
		t.Errorf("%d records", n)
	}
}
