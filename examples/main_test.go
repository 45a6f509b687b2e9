package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// started is the program as a newcomer sees it: what it prints to try.
type started struct {
	urls   []string
	base   string
	values string // its configuration file
}

func setup(t *testing.T) *started {
	t.Helper()
	s := &started{values: filepath.Join(t.TempDir(), "config.yaml")}
	s.write(t, "gatekeeper: {BannedDomains: spam.example}")
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, "127.0.0.1:0", s.values, in, slog.New(slog.DiscardHandler))
		_ = in.Close()
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := strings.ReplaceAll(strings.TrimSpace(lines.Text()), "localhost", "127.0.0.1")
		if strings.HasPrefix(line, "http") {
			s.urls = append(s.urls, line)
		}
		if strings.HasPrefix(line, "curl") {
			break
		}
	}
	if len(s.urls) == 0 {
		t.Fatal("it prints nothing to try")
	}
	s.base = strings.TrimSuffix(s.urls[0], "/")
	return s
}

func (s *started) write(t *testing.T, values string) {
	t.Helper()
	if err := os.WriteFile(s.values, []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
}

func ask(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestWhatItPrintsCanBeClicked(t *testing.T) {
	t.Parallel()
	s := setup(t)
	status := map[string]int{"/calculator/divide?x=1&y=0": 400, "/pages/drawers/z/letter.txt": 404}
	for _, url := range s.urls {
		want := status[strings.TrimPrefix(url, s.base)]
		if want == 0 {
			want = http.StatusOK
		}
		if got, text := ask(t, "GET", url, ""); got != want {
			t.Errorf("%s: %d %s", url, got, text)
		}
	}
}

func TestThePageAtTheRootLeadsToAllOfIt(t *testing.T) {
	t.Parallel()
	s := setup(t)
	_, page := ask(t, "GET", s.base+"/", "")
	for _, link := range links() {
		if !strings.Contains(page, strings.ReplaceAll(link, "&", "&amp;")) {
			t.Errorf("%s is not in %s", link, page)
		}
	}
}

func TestInternalFunctionsAreNotReached(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, path := range []string{"/messenger/roll-call", "/registrar:417/on-registered", "/gatekeeper/on-allow-registration"} {
		if got, text := ask(t, "GET", s.base+path, ""); got != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, got, text)
		}
	}
}

func TestTheConfigurationIsReadAgainWhenItsFileChanges(t *testing.T) {
	t.Parallel()
	s := setup(t)
	registers := func(domain string) bool {
		status, text := ask(t, "POST", s.base+"/registrar/sign-up", `{"email": "ann@`+domain+`"}`)
		if status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
		return strings.Contains(text, "true")
	}
	if !registers("example.com") || registers("spam.example") {
		t.Fatal("the first configuration is not in force")
	}
	if _, text := ask(t, "GET", s.base+"/welcomer/guests", ""); text != `{"count":1,"latest":"Welcome, ann@example.com"}` {
		t.Error(text)
	}
	s.write(t, "gatekeeper: {BannedDomains: example.com}")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for registers("example.com") {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("the second configuration is not in force")
		}
	}
	if !registers("spam.example") {
		t.Error("the first configuration is in force still")
	}
}
