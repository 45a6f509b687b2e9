package upstream_test

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"m3o/internal/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loopback is where the servers of the tests are.
func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// newTarget makes a target of the server at base; change may alter its config.
func newTarget(t testing.TB, base string, change func(*upstream.Config)) *upstream.Target {
	t.Helper()
	address, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	c := upstream.Config{Base: address, Allowed: loopback(), Log: slog.New(slog.DiscardHandler), Now: time.Now}
	if change != nil {
		change(&c)
	}
	target, err := upstream.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.Close)
	return target
}

// newFront serves a target to callers over real connections.
func newFront(t testing.TB, target http.Handler) *httptest.Server {
	t.Helper()
	front := httptest.NewServer(target)
	front.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	t.Cleanup(front.Close)
	return front
}

// rawServer is a server of bytes.
type rawServer struct {
	listener net.Listener
	address  string // http://host:port
	conns    atomic.Int64
	serving  sync.WaitGroup

	mu   sync.Mutex
	open []net.Conn
}

// newRawServer hands each connection, counted from one, to serve, and closes it then.
func newRawServer(t testing.TB, serve func(n int64, c net.Conn, in *bufio.Reader)) *rawServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &rawServer{listener: listener, address: "http://" + listener.Addr().String()}
	s.serving.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.open = append(s.open, c)
			s.mu.Unlock()
			n := s.conns.Add(1)
			s.serving.Go(func() {
				defer func() { _ = c.Close() }()
				serve(n, c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(s.stop)
	return s
}

func (s *rawServer) stop() {
	_ = s.listener.Close()
	s.mu.Lock()
	for _, c := range s.open {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.serving.Wait()
}

// request reads one request to its end; nil when there is none.
func request(in *bufio.Reader) *http.Request {
	r, err := http.ReadRequest(in)
	if err != nil {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil
	}
	r.Header.Set("Test-Body", string(body))
	return r
}

// answers is a server that gives the same bytes to every request.
func answers(t testing.TB, answer string) *rawServer {
	return newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		for request(in) != nil {
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	})
}

func newLog() *slog.Logger { return slog.New(slog.DiscardHandler) }
