package limit

import (
	"context"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"m3o/internal/id"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is the time of gateways and, by way of miniredis, of Redis.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time { return time.Unix(0, c.ns.Load()).UTC() }

// advance moves the time on, here and in a miniredis.
func (c *clock) advance(m *miniredis.Miniredis, by time.Duration) {
	c.ns.Add(int64(by))
	m.SetTime(c.now())
	m.FastForward(by)
}

// mini is a Redis within the test whose time stands still.
func mini(t testing.TB, c *clock) *miniredis.Miniredis {
	t.Helper()
	m := miniredis.RunT(t)
	m.SetTime(c.now())
	return m
}

// realRedis is the URL of the server of M3O_TEST_REDIS. Without one the test is skipped,
// or fails when M3O_TEST_REQUIRE is 1.
func realRedis(t testing.TB) string {
	t.Helper()
	url := os.Getenv("M3O_TEST_REDIS")
	if url == "" {
		if os.Getenv("M3O_TEST_REQUIRE") == "1" {
			t.Fatal("M3O_TEST_REDIS is not set, and M3O_TEST_REQUIRE wants it")
		}
		t.Skip("M3O_TEST_REDIS is not set")
	}
	return url
}

// connect is a connection of the test's own.
func connect(t testing.TB, url string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	options.PoolSize = 10
	client := redis.NewClient(options)
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

// prefix is of keys that no other test has; they are removed with the test.
func prefix(t testing.TB, client *redis.Client) string {
	t.Helper()
	text := "m3o-test:" + id.New("run") + ":"
	t.Cleanup(func() {
		ctx := context.Background()
		keys, err := client.Keys(ctx, text+"*").Result()
		if err == nil && len(keys) > 0 {
			err = client.Del(ctx, keys...).Err()
		}
		if err != nil {
			t.Errorf("remove the keys of the test: %v", err)
		}
	})
	return text
}

// open opens one gateway's part of shared limits; change may alter its configuration.
func open(t testing.TB, url string, change func(*Config)) *Shared {
	t.Helper()
	c := Config{URL: url, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	if change != nil {
		change(&c)
	}
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// fleet opens several gateways that know of each other.
func fleet(t testing.TB, size int, url string, change func(*Config)) []*Shared {
	t.Helper()
	all := make([]*Shared, size)
	for i := range all {
		all[i] = open(t, url, change)
	}
	for _, s := range all {
		s.appear(t.Context())
		if n := s.gateways.Load(); n != int64(size) {
			t.Fatalf("%d gateways are counted, want %d", n, size)
		}
	}
	return all
}

// eventually waits for a condition, for at most ten seconds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for !condition() {
		select {
		case <-poll.C:
		case <-deadline.C:
			t.Fatalf("%s: not after ten seconds", what)
		}
	}
}

// proxy stands between a gateway and Redis.
type proxy struct {
	listener net.Listener
	target   string
	delay    atomic.Int64 // of each piece that Redis sends
	deaf     atomic.Bool  // passes nothing on and refuses nobody
	breaks   atomic.Int64 // so many times the connection breaks instead of an answer

	mu    sync.Mutex
	conns map[net.Conn]bool
	tasks sync.WaitGroup
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, target: target, conns: map[net.Conn]bool{}}
	p.tasks.Go(p.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		p.cut()
		p.tasks.Wait()
	})
	return p
}

func (p *proxy) url() string { return "redis://" + p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = in.Close()
			continue
		}
		p.mu.Lock()
		p.conns[in], p.conns[out] = true, true
		p.mu.Unlock()
		p.tasks.Go(func() { p.pass(out, in, false) })
		p.tasks.Go(func() { p.pass(in, out, true) })
	}
}

// pass passes on what comes, late if it is an answer.
func (p *proxy) pass(to, from net.Conn, answers bool) {
	defer p.close(to)
	defer p.close(from)
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if delay := time.Duration(p.delay.Load()); answers && delay > 0 {
			timer := time.NewTimer(delay)
			<-timer.C
		}
		if answers && n > 0 && p.breaks.Add(-1) >= 0 {
			return
		}
		if n > 0 && !p.deaf.Load() {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) close(c net.Conn) {
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
	_ = c.Close()
}

// cut ends every connection; new ones are taken.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}
