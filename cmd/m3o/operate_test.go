package main_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"m3o/internal/app/apptest"
)

func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t)
	jane := s.SignUp("jane@example.com")
	file := filepath.Join(t.TempDir(), "backup")
	got := m3o(t, nil, "backup", "--data", s.Data, file)
	if got.code != 0 || !strings.Contains(got.out, "read again and found right") || !strings.Contains(got.err, "ledger_accounts") {
		t.Fatalf("backup: %+v", got)
	}
	if got := m3o(t, nil, "restore", "--data", s.Data, "--force", file); got.code != 1 || !strings.Contains(got.err, "another m3o is using") {
		t.Errorf("under a running system: %+v", got)
	}
	there := t.TempDir()
	got = m3o(t, nil, "restore", "--data", there, "--quiet", file)
	if got.code != 0 || !strings.Contains(got.out, "counted and summed up again") || !strings.Contains(got.out, "from sqlite") || !strings.Contains(got.out, "file secret") || got.err != "" {
		t.Fatalf("restore: %+v", got)
	}
	if got := m3o(t, nil, "restore", "--data", there, file); got.code != 1 || !strings.Contains(got.err, "--force") {
		t.Errorf("once more: %+v", got)
	}
	if got := m3o(t, []string{"M3O_SECRET=" + strings.Repeat("0", 64)}, "restore", "--data", there, "--force", file); got.code != 0 || !strings.Contains(got.out, ".before-") || strings.Contains(got.out, "file secret") {
		t.Errorf("with force: %+v", got)
	}
	restored := apptest.Start(t, apptest.Data(there))
	if a, b := s.Balance(jane.Token), restored.Balance(jane.Token); a != b {
		t.Errorf("a balance of %d, before it was %d", b, a)
	}
}

// A restore that is killed leaves nothing, or all of it.
func TestARestoreThatIsKilledLeavesTheDatabaseAsItWas(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t)
	file := filepath.Join(t.TempDir(), "backup")
	if got := m3o(t, nil, "backup", "--data", s.Data, file); got.code != 0 {
		t.Fatalf("backup: %+v", got)
	}
	whole := 0
	for try := range 12 {
		there := t.TempDir()
		command := prepared(t, nil, "restore", "--data", there, file)
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		killed := time.AfterFunc(time.Duration(try*try)*2*time.Millisecond, func() { _ = command.Process.Kill() })
		_ = command.Wait() // killed or not
		killed.Stop()
		if _, err := os.Stat(filepath.Join(there, "m3o.db")); err != nil {
			continue
		}
		whole++
		if got := m3o(t, nil, "doctor", "--data", there); got.code != 0 || !strings.Contains(got.out, "up to date, with all its tables") {
			t.Errorf("killed at %d it left %+v", try, got)
		}
	}
	t.Logf("%d of 12 had come to their end", whole)
}

func TestHealth(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t)
	listen := strings.TrimPrefix(s.URL, "http://")
	for _, args := range [][]string{{"health", "--listen", listen}, {"health", "--listen", listen, "--live"}} {
		if got := m3o(t, nil, args...); got.code != 0 || got.out != "ok\n" {
			t.Errorf("%v: %+v", args, got)
		}
	}
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		t.Fatal(err)
	}
	if got := m3o(t, []string{"M3O_LISTEN=:" + port}, "health"); got.code != 0 {
		t.Errorf("by the variable, on all addresses: %+v", got)
	}
	sick := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"ready":false,"components":{"server":"ready","database":"not ready"}}`))
	}))
	t.Cleanup(sick.Close)
	if got := m3o(t, nil, "health", "--listen", strings.TrimPrefix(sick.URL, "http://")); got.code != 1 || !strings.Contains(got.err, "is not ready: database not ready") {
		t.Errorf("a sick one: %+v", got)
	}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t)
	got := m3o(t, nil, "doctor", "--data", s.Data, "--url", s.URL)
	if got.code != 0 || !strings.Contains(got.out, "ok    ledger") || !strings.Contains(got.out, ", 0 to mend\n") {
		t.Errorf("%+v", got)
	}
	got = m3o(t, nil, "doctor", "--data", s.Data, "--url", "http://127.0.0.1:1", "--json")
	var findings []struct{ Part, Level, What, Mend string }
	if err := json.Unmarshal([]byte(got.out), &findings); err != nil || got.code != 1 || got.err != "" {
		t.Fatalf("%+v %v", got, err)
	}
	last := findings[len(findings)-1]
	if last.Part != "gateway http://127.0.0.1:1" || last.Level != "fail" || last.What == "" || last.Mend == "" {
		t.Errorf("%+v", last)
	}
	got = m3o(t, nil, "doctor", "--data", s.Data, "--url", "http://127.0.0.1:1")
	if got.code != 1 || !strings.Contains(got.out, "→ look whether it runs") || !strings.Contains(got.out, "1 to mend") {
		t.Errorf("%+v", got)
	}
}
