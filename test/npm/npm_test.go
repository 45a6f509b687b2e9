// Package npm runs the clients that M3O has published for Node.js against the built
// binary: what was written for M3O works here, with another address and another key.
// It needs node, npm and npm's registry; M3O_TEST_REQUIRE=1 makes their absence a
// failure.
package npm

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The clients, as the last that M3O has published.
const (
	services = "m3o@1.0.1783"
	node     = "@m3o/m3o-node@0.0.26"
)

func TestPublishedClientsWorkUnchanged(t *testing.T) {
	t.Parallel()
	dir := install(t)
	address, key := start(t)
	out := run(t, dir, "node", "client.js", address+"/", key)
	var got map[string]any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("the clients printed %s: %v", out, err)
	}
	hello := map[string]any{"message": "Hello John"}
	for what, want := range map[string]any{
		"call": hello, "stream": []any{hello, hello, hello},
		"serviceCall": hello, "serviceStream": []any{hello, hello, hello},
		"refused": "Unauthorized", "failed": []any{float64(400)},
	} {
		if !reflect.DeepEqual(got[what], want) {
			t.Errorf("%s: got %v, want %v", what, got[what], want)
		}
	}
}

// install puts the clients into a directory, beside the script that uses them.
func install(t *testing.T) (dir string) {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			missing(t, program+" is not here")
		}
	}
	dir = t.TempDir()
	script, err := os.ReadFile(filepath.Join("testdata", "client.js"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"client.js": script, "package.json": []byte("{}")} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", services, node)
	cmd.Dir = dir
	if said, err := cmd.CombinedOutput(); err != nil {
		missing(t, "npm could not install the clients: "+string(said))
	}
	return dir
}

// missing skips the test, or fails it where everything has to be there.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("M3O_TEST_REQUIRE") == "1" {
		t.Fatal(what)
	}
	t.Skip(what)
}

func run(t *testing.T, dir string, program string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var stderr bytes.Buffer
	cmd.Dir, cmd.Stderr = dir, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, args[0], err, &stderr)
	}
	return out
}

// start runs the binary on an empty directory and returns what it tells of itself: its
// address and the demo customer's key.
func start(t *testing.T) (address, key string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "m3o")
	run(t, ".", "go", "build", "-o", binary, "../../cmd/m3o")
	var out output
	cmd := exec.Command(binary, "--data", t.TempDir(), "--listen", ":0")
	cmd.Env = []string{"HOME=" + t.TempDir()}
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("m3o ended with %v", err)
		}
	})
	limit := time.After(time.Minute)
	for address == "" || key == "" {
		select {
		case <-limit:
			t.Fatalf("m3o printed no address and no key:\n%s", out.String())
		case <-time.After(20 * time.Millisecond):
		}
		address = regexp.MustCompile(`http://localhost:\d+`).FindString(out.String())
		key = regexp.MustCompile(`m3o_[0-9A-Za-z]{36}`).FindString(out.String())
	}
	return address, key
}

// output collects what a process prints.
type output struct {
	mu   sync.Mutex
	text strings.Builder
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
