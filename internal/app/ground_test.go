package app_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"m3o/internal/app"
	"m3o/internal/bus/nats/natstest"
	"m3o/internal/db/dbtest"
)

// door is an address at which nobody listens until it is opened; then it leads to a server.
type door struct {
	t      *testing.T
	target string
	addr   string
	wait   sync.WaitGroup
}

func newDoor(t *testing.T, target string) *door {
	t.Helper()
	return &door{t: t, target: target, addr: closedAddress(t)}
}

// closedAddress is one at which nobody listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func (d *door) open() {
	d.t.Helper()
	l, err := new(net.ListenConfig).Listen(d.t.Context(), "tcp", d.addr)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		_ = l.Close()
		d.wait.Wait()
	})
	d.wait.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			d.wait.Go(func() { d.pass(conn) })
		}
	})
}

// pass copies both ways until either side ends.
func (d *door) pass(conn net.Conn) {
	server, err := new(net.Dialer).DialContext(context.WithoutCancel(d.t.Context()), "tcp", d.target)
	if err != nil {
		_ = conn.Close()
		return
	}
	for from, to := range map[net.Conn]net.Conn{conn: server, server: conn} {
		d.wait.Go(func() {
			_, _ = io.Copy(to, from)
			_, _ = to.Close(), from.Close()
		})
	}
}

// start is a system that is starting, and may wait for what it stands on.
type start struct {
	t      *testing.T
	config app.Config
	log    *slow
	ended  chan error
	system *app.App
}

func begin(t *testing.T, change func(*app.Config)) *start {
	t.Helper()
	s := &start{t: t, log: &slow{}, ended: make(chan error, 1)}
	s.config = app.Config{
		Listen: closedAddress(t), Data: t.TempDir(), NoDemo: true, Log: slog.New(slog.NewTextHandler(s.log, nil)), Now: func() time.Time { return time.Now().UTC() },
		Patience: time.Minute,
	}
	change(&s.config)
	go func() {
		var err error
		s.system, err = app.Start(t.Context(), s.config)
		s.ended <- err
	}()
	return s
}

// waits checks that the system says for what it waits, where people and programs look.
func (s *start) waits(program, component string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(s.log.String(), "program="+program); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("the log does not say that %s is waited for:\n%s", program, s.log.String())
		}
	}
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"/readyz":  {http.StatusServiceUnavailable, `"` + component + `":"not ready"`},
		"/healthz": {http.StatusOK, "ok"},
		"/":        {http.StatusServiceUnavailable, "starting"},
	} {
		if status, text := s.get(path); status != want.status || !strings.Contains(text, want.text) {
			s.t.Errorf("%s while it waits for %s: %d %s", path, program, status, text)
		}
	}
}

func (s *start) get(path string) (status int, text string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.config.Listen+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// runs waits until the system does, and stops it.
func (s *start) runs() {
	s.t.Helper()
	if err := <-s.ended; err != nil {
		s.t.Fatal(err)
	}
	if status, text := s.get("/readyz"); status != http.StatusOK {
		s.t.Errorf("/readyz when it has started: %d %s", status, text)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := s.system.Stop(); err != nil {
		s.t.Errorf("stop: %v", err)
	}
}

// patience is how long anything may take here.
const patience = 30 * time.Second

func TestAStartWaitsForPostgres(t *testing.T) {
	t.Parallel()
	at, err := url.Parse(dbtest.Config(t, dbtest.Postgres(t)).URL)
	if err != nil {
		t.Fatal(err)
	}
	postgres := newDoor(t, at.Host)
	at.Host = postgres.addr
	s := begin(t, func(c *app.Config) { c.DB = at.String() })
	s.waits("Postgres", "database")
	postgres.open()
	s.runs()
}

func TestAStartWaitsForNATS(t *testing.T) {
	t.Parallel()
	nats := newDoor(t, strings.TrimPrefix(natstest.Start(t).URL, "nats://"))
	s := begin(t, func(c *app.Config) { c.Bus, c.Secret = "nats://"+nats.addr, secret })
	s.waits("NATS", "bus")
	nats.open()
	s.runs()
}

// A gateway can do without Redis, by its configuration or by refusing what has a rate, so that it must not keep it from
// recording what it has served.
func TestAStartDoesNotWaitForRedis(t *testing.T) {
	t.Parallel()
	s := begin(t, func(c *app.Config) { c.Redis = "redis://" + closedAddress(t) })
	s.runs()
	if log := s.log.String(); !strings.Contains(log, "Redis does not answer") {
		t.Errorf("the log does not say that Redis is missing:\n%s", log)
	}
}

// What waiting cannot mend is said at once.
func TestAStartDoesNotWaitForADatabaseThatIsNotThere(t *testing.T) {
	t.Parallel()
	at, err := url.Parse(dbtest.Config(t, dbtest.Postgres(t)).URL)
	if err != nil {
		t.Fatal(err)
	}
	at.Path = "/no_such_database"
	s := begin(t, func(c *app.Config) { c.DB, c.Patience = at.String(), time.Hour })
	select {
	case err := <-s.ended:
		if err == nil || !strings.Contains(err.Error(), "no_such_database") {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("it waits for a database that nobody will make")
	}
}

func TestAStartThatWaitsCanBeStopped(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*app.Config){
		"Postgres": func(c *app.Config) { c.DB = "postgres://postgres@" + closedAddress(t) + "/x" },
		"NATS":     func(c *app.Config) { c.Bus, c.Secret = "nats://"+closedAddress(t), secret },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			log := &slow{}
			config := app.Config{
				Listen: "127.0.0.1:0", Data: t.TempDir(), NoDemo: true, Log: slog.New(slog.NewTextHandler(log, nil)), Now: time.Now, Patience: time.Hour,
			}
			change(&config)
			ended := make(chan error, 1)
			go func() { ended <- app.Run(ctx, config) }()
			for deadline := time.Now().Add(patience); !strings.Contains(log.String(), "program="+name); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("it does not wait:\n%s", log.String())
				}
			}
			cancel()
			select {
			case err := <-ended:
				if err != nil || !strings.Contains(log.String(), "stopped before it was ready") {
					t.Errorf("it ended with %v and the log\n%s", err, log.String())
				}
			case <-time.After(patience):
				t.Fatal("it does not end")
			}
		})
	}
}
