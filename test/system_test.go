// Package test runs the built binary from the outside: the journey from sign-up to statement, exactness, crashes,
// revocation under load, bad input and stops. It owns no code of the product, imports none of it, and knows only the
// contract. M3O_TEST_POSTGRES adds the Postgres half, M3O_TEST_REQUIRE=1 makes its absence a failure,
// M3O_TEST_LONG=1 lengthens the load, M3O_TEST_RACE=1 builds the binary with the race detector. M3O_TEST_SYSTEM is the
// address of a system that runs already, empty and with the tests' admin, for TestJourney to travel through.
package test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
)

const (
	adminEmail    = "admin@example.com"
	adminPassword = "correct-horse-battery-9"
)

// binary builds the program once a test run.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "m3o-journey")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "m3o")
	args := []string{"build", "-o", path}
	if os.Getenv("M3O_TEST_RACE") == "1" {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "../cmd/m3o")...).CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("build m3o: %w\n%s", err, out), os.RemoveAll(dir))
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// elsewhere is the address of a system that runs already, empty when a test starts its own.
func elsewhere() string { return os.Getenv("M3O_TEST_SYSTEM") }

// long says whether the long variants run.
func long() bool { return os.Getenv("M3O_TEST_LONG") == "1" }

// store is where a system keeps its data; it outlives the process.
type store struct{ dir, db string }

// args are the flags that select the store.
func (s store) args() []string {
	if s.db == "" {
		return []string{"--data", s.dir}
	}
	return []string{"--data", s.dir, "--db", s.db}
}

func sqlite(t *testing.T) store { return store{dir: t.TempDir()} }

// eachStore runs a test on SQLite and on a Postgres database of its own.
func eachStore(t *testing.T, run func(t *testing.T, s store)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		run(t, sqlite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		run(t, store{dir: t.TempDir(), db: database(t)})
	})
}

// database makes an empty database and drops it with the test.
func database(t *testing.T) string {
	t.Helper()
	server := os.Getenv("M3O_TEST_POSTGRES")
	if server == "" && os.Getenv("M3O_TEST_REQUIRE") == "1" {
		t.Fatal("M3O_TEST_POSTGRES is not set, and M3O_TEST_REQUIRE wants it")
	}
	if server == "" {
		t.Skip("M3O_TEST_POSTGRES is not set")
	}
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal("M3O_TEST_POSTGRES is not a URL")
	}
	d, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	name := "m3o_journey_" + strings.ToLower(rand.Text())
	if _, err := d.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := d.ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
		_ = d.Close()
	})
	at.Path = "/" + name
	return at.String()
}

// output collects what a process prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// system is a running binary.
type system struct {
	client       // without a token
	cmd          *exec.Cmd
	stdout, logs *output
	ended        chan struct{}
}

// start runs the binary with the tests' admin and no demo customer, and waits until it is ready.
func start(t *testing.T, s store, args ...string) *system {
	t.Helper()
	if at := elsewhere(); at != "" {
		return &system{client: client{base: at, http: &http.Client{Timeout: time.Minute}}, stdout: &output{}, logs: &output{}}
	}
	env := []string{"M3O_ADMIN_EMAIL=" + adminEmail, "M3O_ADMIN_PASSWORD=" + adminPassword, "M3O_NO_DEMO=true", loopback}
	return startWith(t, s, env, args...)
}

// loopback allows APIs on this machine, where tests have theirs.
const loopback = `M3O_GATEWAY_UPSTREAMNETWORKS=["127.0.0.0/8", "::1/128"]`

func startWith(t *testing.T, s store, env []string, args ...string) *system {
	t.Helper()
	sys := launch(t, env, append(append(s.args(), "--listen", "127.0.0.1:0"), args...)...)
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	eventually(t, 30*time.Second, "the binary to be ready", func() bool {
		if sys.hasEnded() {
			t.Fatalf("m3o ended at its start:\n%s", sys.logs)
		}
		sys.base = address.FindString(sys.stdout.String())
		if sys.base == "" {
			return false
		}
		a, err := sys.send(http.MethodGet, "/readyz", nil)
		return err == nil && a.status == http.StatusOK
	})
	return sys
}

// launch runs the binary; the test ends it, and fails when its log tells of a defect or holds a secret.
func launch(t *testing.T, env []string, args ...string) *system {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true}
	sys := &system{
		client: client{http: &http.Client{Transport: transport, Timeout: time.Minute}},
		cmd:    exec.Command(path, args...), stdout: &output{}, logs: &output{}, ended: make(chan struct{}),
	}
	sys.cmd.Dir = t.TempDir()
	sys.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + sys.cmd.Dir}, env...)
	sys.cmd.Stdout, sys.cmd.Stderr = sys.stdout, sys.logs
	if err := sys.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = sys.cmd.Wait()
		close(sys.ended)
	}()
	t.Cleanup(func() {
		sys.kill()
		transport.CloseIdleConnections()
		sys.examine(t)
	})
	return sys
}

// secrets are what a log must never hold: keys, access tokens and refresh tokens.
var secrets = regexp.MustCompile(`m3o_([ar]t_)?[0-9A-Za-z]{30,}`)

// defects are what a log must never tell of, as words of their own: a random id may spell "panic".
var defects = regexp.MustCompile(`\bpanic(ked)?\b|\bgoroutine \d+|DATA RACE|\blevel=ERROR\b`)

// examine reads the log of an ended process.
func (s *system) examine(t *testing.T) {
	t.Helper()
	logs := s.logs.String()
	if at := defects.FindStringIndex(logs); at != nil {
		t.Errorf("the log holds %q: …%s", logs[at[0]:at[1]], logs[max(0, at[0]-300):min(len(logs), at[0]+1500)])
	}
	if secret := secrets.FindString(logs); secret != "" {
		t.Errorf("the log holds a secret: %s…", secret[:12])
	}
	if t.Failed() && testing.Verbose() {
		t.Logf("the log ends with:\n%s", logs[max(0, len(logs)-3000):])
	}
}

func (s *system) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// kill ends the process as a power cut would.
func (s *system) kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// terminate asks the process to stop; wait is for its exit code.
func (s *system) terminate(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// wait returns the exit code of a process that is about to end.
func (s *system) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-s.ended:
		return s.cmd.ProcessState.ExitCode()
	case <-time.After(30 * time.Second):
		t.Fatalf("m3o did not end:\n%s", s.logs)
		return -1
	}
}

// stop ends the process in good order.
func (s *system) stop(t *testing.T) {
	t.Helper()
	s.terminate(t)
	if code := s.wait(t); code != 0 {
		t.Errorf("m3o ended with %d after a SIGTERM:\n%s", code, s.logs)
	}
}

// soon says whether something holds at once, as it must in one process; in a system of several processes it may
// take a second, for what happened in one reaches the others as facts.
func soon(t *testing.T, ok func() bool) bool {
	t.Helper()
	if elsewhere() == "" {
		return ok()
	}
	return within(t, time.Second, ok)
}

// eventually polls until ok, and fails the test at the limit.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	if !within(t, limit, ok) {
		t.Fatalf("waiting for %s: it took longer than %v", what, limit)
	}
}

// within polls until ok; false when that took longer than the limit.
func within(t *testing.T, limit time.Duration, ok func() bool) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}
