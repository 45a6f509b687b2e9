package test

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestFirstStart(t *testing.T) {
	t.Parallel()
	s := sqlite(t)
	sys := startWith(t, s, nil)
	printed := sys.stdout.String()
	login := regexp.MustCompile(`(?m)^\s*(Admin|Demo)\s+(\S+)\s+password (\S+)`).FindAllStringSubmatch(printed, -1)
	apiKey := regexp.MustCompile(`m3o_[0-9A-Za-z]{36}`).FindString(printed)
	if len(login) != 2 || apiKey == "" || login[0][2] != "admin@localhost" {
		t.Fatalf("it printed:\n%s", printed)
	}
	boss := sys.as(sys.login(t, login[0][2], login[0][3]).Access)
	pages[profile](t, boss, "/customers/List", "customers", 10)
	demo := customer{client: sys.as(sys.login(t, login[1][2], login[1][3]).Access)}
	if b := demo.balance(t); b.Current != 1_000_000 {
		t.Errorf("the demo customer has %d", b.Current)
	}
	if a, err := sys.as(apiKey).hello(); err != nil || a.status != http.StatusOK {
		t.Errorf("the demo key: %v %d", err, a.status)
	}
	if strings.Contains(sys.logs.String(), login[0][3]) {
		t.Error("the password is in the log")
	}
	customers := len(pages[profile](t, boss, "/customers/List", "customers", 1000))
	sys.stop(t)
	again := startWith(t, s, nil)
	if p := again.stdout.String(); strings.Contains(p, login[0][3]) || strings.Contains(p, apiKey) {
		t.Error("the second start prints secrets again")
	}
	boss = again.as(again.login(t, login[0][2], login[0][3]).Access)
	if n := len(pages[profile](t, boss, "/customers/List", "customers", 1000)); n != customers {
		t.Errorf("%d customers, after a restart %d", customers, n)
	}
}

func TestTwoProcessesOnOneDirectory(t *testing.T) {
	t.Parallel()
	s := sqlite(t)
	first := start(t, s)
	second := launch(t, nil, append(s.args(), "--listen", "127.0.0.1:0")...)
	oneSentence(t, second, 1, "directory")
	if a := first.request(t, "GET", "/readyz", ""); a.status != http.StatusOK {
		t.Errorf("the first: %d %s", a.status, a.body)
	}
	first.kill()
	start(t, s).stop(t) // a crash leaves no lock behind
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("general: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "m3o.db"), bytes.Repeat([]byte("not a database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"PortInUse":         {[]string{"--listen", taken.Addr().String()}, 1, taken.Addr().String()},
		"BadAddress":        {[]string{"--listen", "nowhere:99999"}, 1, "nowhere:99999"},
		"Unreachable":       {[]string{"--db", "postgres://me:hush@127.0.0.1:1/m3o"}, 1, "127.0.0.1:1"},
		"NotADatabase":      {[]string{"--db", "postgres://me:hush@" + taken.Addr().String() + "/m3o?connect_timeout=1"}, 1, "database"},
		"WrongFlag":         {[]string{"--lisen", ":1"}, 2, "--lisen"},
		"FlagWithoutValue":  {[]string{"--listen"}, 2, "--listen"},
		"WrongCommand":      {[]string{"sell"}, 2, "sell"},
		"UnwritableData":    {[]string{"--data", filepath.Join(file, "data")}, 1, "data"},
		"DataIsAFile":       {[]string{"--data", file}, 1, "file"},
		"DamagedDatabase":   {[]string{"--data", damaged}, 1, ""},
		"ConfigIsMissing":   {[]string{"--config", "missing.yaml"}, 1, "missing.yaml"},
		"ConfigIsBroken":    {[]string{"--config", file}, 1, "file"},
		"OtherScheme":       {[]string{"--db", "mysql://me:hush@127.0.0.1/m3o"}, 1, "--db"},
		"BackupWithoutFile": {[]string{"backup"}, 2, "file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := c.args
			if c.code == 1 && !strings.Contains(strings.Join(args, " "), "--listen") {
				args = append([]string{"--listen", "127.0.0.1:0"}, args...)
			}
			oneSentence(t, launch(t, nil, args...), c.code, c.want)
		})
	}
}

// oneSentence wants a process to have failed with one line on stderr.
func oneSentence(t *testing.T, sys *system, code int, want string) {
	t.Helper()
	got, said := sys.wait(t), strings.TrimSuffix(sys.logs.String(), "\n")
	if got != code || said == "" || strings.Contains(said, "\n") || !strings.Contains(said, want) || strings.Contains(said, "hush") || strings.Contains(said, ".go:") {
		t.Errorf("exit %d, want %d with one sentence about %q; it said %q", got, code, want, said)
	}
}

func TestGracefulStop(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store) {
		const calls = 8
		var waiting atomic.Int64
		release := make(chan struct{})
		slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			waiting.Add(1)
			<-release
			_, _ = w.Write([]byte(`{}`))
		}))
		t.Cleanup(slow.Close)
		free := sync.OnceFunc(func() { close(release) })
		t.Cleanup(free)
		sys := start(t, s)
		boss := sys.admin(t)
		publish(t, boss, newAPI("slow", slow.URL, map[string]int64{"Call": 100}))
		sue := sys.signUp(t, boss, "sue@example.com")
		caller := sys.as(sue.key(t).Key)
		var served atomic.Int64
		var wait sync.WaitGroup
		for range calls {
			wait.Go(func() {
				a, err := caller.send("POST", "/v1/slow/call", strings.NewReader("{}"))
				if err != nil || a.status != http.StatusOK {
					t.Errorf("a call in flight: %v %d %s", err, a.status, a.body)
					return
				}
				served.Add(1)
			})
		}
		eventually(t, 10*time.Second, "the calls to be in flight", func() bool { return waiting.Load() == calls })
		sys.terminate(t)
		eventually(t, 10*time.Second, "the system to take no more", func() bool {
			a, err := sys.send("GET", "/readyz", nil)
			return err != nil || a.status == http.StatusServiceUnavailable
		})
		free()
		wait.Wait()
		if code := sys.wait(t); code != 0 {
			t.Errorf("exit %d", code)
		}
		sys = start(t, s)
		sue.client = sys.as(sue.token)
		if b, n := sue.balance(t), len(sue.records(t, 50)); n != calls || b.Current != 1_000_000-calls*100 || b.Leased != 0 {
			t.Errorf("after the restart: %d records, %+v", n, b)
		}
		sue.addsUp(t, 3)
		sys.balanced(t)
	})
}

func TestBackup(t *testing.T) {
	t.Parallel()
	s := sqlite(t)
	sys := start(t, s)
	boss := sys.admin(t)
	bob := sys.signUp(t, boss, "bob@example.com")
	k := bob.key(t)
	for range 5 {
		if a, err := sys.as(k.Key).hello(); err != nil || a.status != http.StatusOK {
			t.Fatalf("%v %d", err, a.status)
		}
	}
	want, records := bob.balance(t).Current, bob.records(t, 50)
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	other := sqlite(t)
	file := filepath.Join(other.dir, "m3o.db")
	if out, err := exec.Command(path, "backup", file, "--data", s.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if out, err := exec.Command(path, "backup", file, "--data", s.dir).CombinedOutput(); err == nil {
		t.Errorf("a backup has overwritten a file: %s", out)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others can read the backup: %v %v", info.Mode(), err)
	}
	if a, err := sys.as(k.Key).hello(); err != nil || a.status != http.StatusOK { // not in the backup
		t.Fatalf("%v %d", err, a.status)
	}
	copied := start(t, other)
	bob.client = copied.as(bob.token)
	if b := bob.balance(t); b.Current != want {
		t.Errorf("the backup has a balance of %d, want %d", b.Current, want)
	}
	if got := bob.records(t, 50); len(got) != len(records) {
		t.Errorf("the backup has %d records, want %d", len(got), len(records))
	}
	if a, err := copied.as(k.Key).hello(); err != nil || a.status != http.StatusOK {
		t.Errorf("%v %d", err, a.status)
	}
	eventually(t, time.Minute, "the leases of the original to be given back", func() bool { return bob.balance(t).Leased <= 100_000 && bob.balance(t).Current == want-10 })
	bob.addsUp(t, 7)
	copied.balanced(t)
}
