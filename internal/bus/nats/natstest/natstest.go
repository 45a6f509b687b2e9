// Package natstest has NATS servers for tests: one of the test's own, or the one that
// M3O_TEST_NATS names. Tests import it.
package natstest

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"m3o/internal/id"
)

// Server is a server with JetStream that ends with its test.
type Server struct {
	URL string

	t       testing.TB
	options server.Options
	running *server.Server
}

// patience is how long a server may take to start, or to be cleaned up.
const patience = 20 * time.Second

// Start starts a server at a port of its own. It syncs each message before it acks it;
// change may ask for something else.
func Start(t testing.TB, change ...func(*server.Options)) *Server {
	t.Helper()
	s := &Server{t: t, options: server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: filepath.Join(t.TempDir(), "nats"), SyncAlways: true,
		NoLog: true, NoSigs: true, MaxPayload: 1 << 20,
	}}
	for _, one := range change {
		one(&s.options)
	}
	t.Cleanup(s.Stop)
	s.Resume()
	s.options.Port = s.running.Addr().(*net.TCPAddr).Port
	s.URL = "nats://" + s.running.Addr().String()
	return s
}

// Resume starts a stopped server again, at the same port and with what it has stored.
func (s *Server) Resume() {
	s.t.Helper()
	options := s.options
	running, err := server.NewServer(&options)
	if err != nil {
		s.t.Fatal(err)
	}
	s.running = running
	go running.Start()
	if !running.ReadyForConnections(patience) {
		s.t.Fatal("nats-server does not start")
	}
}

// Stop ends the server; what it has stored stays. It may be called twice.
func (s *Server) Stop() {
	if s.running != nil {
		s.running.Shutdown()
		s.running.WaitForShutdown()
		s.running = nil
	}
}

// Each runs a test on a server of its own and, where M3O_TEST_NATS names one, on that.
func Each(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("Embedded", func(t *testing.T) {
		t.Parallel()
		test(t, Start(t).URL)
	})
	url := Given(t)
	if url == "" {
		return
	}
	t.Run("Given", func(t *testing.T) {
		t.Parallel()
		test(t, url)
	})
}

// Given is the server that M3O_TEST_NATS names; empty, which is said, when it names none.
func Given(t testing.TB) string {
	t.Helper()
	url := os.Getenv("M3O_TEST_NATS")
	if url == "" {
		t.Log("M3O_TEST_NATS is not set: only the embedded server is tested")
	}
	return url
}

// Prefix is one that nobody else uses; its streams are deleted at the end of the test.
func Prefix(t testing.TB, url string) string {
	t.Helper()
	prefix := strings.ReplaceAll(id.New("test"), "_", "-")
	t.Cleanup(func() { clean(t, url, prefix) })
	return prefix
}

func clean(t testing.TB, url, prefix string) {
	nc, err := nats.Connect(url)
	if err != nil {
		return // the server has gone with all that was in it
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Error(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	names := js.StreamNames(ctx)
	for name := range names.Name() {
		if strings.Contains(name, prefix) { // also KV_…
			if err := js.DeleteStream(ctx, name); err != nil {
				t.Errorf("delete stream %s: %v", name, err)
			}
		}
	}
	if err := names.Err(); err != nil {
		t.Errorf("list streams: %v", err)
	}
}

// Clients is how many connections the server has.
func (s *Server) Clients() int { return s.running.NumClients() }

// WithoutJetStream is for Start.
func WithoutJetStream(o *server.Options) { o.JetStream = false }
