package test

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTheFirstServiceIsMadeAsTheDocumentSays follows docs/first-service.md to the letter, in a copy of the module.
func TestTheFirstServiceIsMadeAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/first-service.md")
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(t)
	done := map[string]int{}
	for _, b := range blocksOf(t, string(text)) {
		t.Logf("line %d: %s %s", b.line, b.kind, b.file)
		r.follow(t, b)
		if done[b.kind]++; t.Failed() {
			return // what comes next rests on it
		}
	}
	for _, kind := range []string{blockShell, blockServer, blockOutput, blockSoon, blockPart, blockChange} {
		if done[kind] == 0 {
			t.Errorf("the document has no block of the kind %q: this test has not understood it", kind)
		}
	}
}

// The blocks that the document may have, by the first words behind the fence.
const (
	blockShell  = "sh"            // commands for the terminal
	blockServer = "sh background" // the command that starts m3o in a terminal of its own; one that runs is stopped first
	blockOutput = "text"          // what the commands above have printed; … is anything within a line, or any lines
	blockSoon   = "text soon"     // what they print in a moment at the latest, so they are repeated meanwhile
	blockPart   = "part"          // ```yaml FILE or ```go FILE: FILE holds these lines
	blockChange = "diff"          // ```diff FILE: the lines of FILE to replace, and by which
)

// block is a fenced block of the document.
type block struct {
	line       int
	kind, file string
	text       string
}

var fence = regexp.MustCompile("(?m)^```(\\w+)(?: ([^`\n]+))?\n((?s:.*?))^```$")

func blocksOf(t *testing.T, document string) (all []block) {
	t.Helper()
	for _, at := range fence.FindAllStringSubmatchIndex(document, -1) {
		part := func(i int) string {
			if at[2*i] < 0 {
				return ""
			}
			return document[at[2*i]:at[2*i+1]]
		}
		b := block{1 + strings.Count(document[:at[0]], "\n"), part(1), part(2), part(3)}
		switch {
		case b.kind == "sh" && b.file == "background":
			b.kind, b.file = blockServer, ""
		case b.kind == blockOutput && b.file == "soon":
			b.kind, b.file = blockSoon, ""
		case (b.kind == "yaml" || b.kind == "go") && b.file != "":
			b.kind = blockPart
		}
		all = append(all, b)
	}
	return all
}

// reader does what the document says.
type reader struct {
	module   string // the copy
	terminal *terminal
	server   *system           // nil: not started yet
	secrets  map[string]string // what the document leaves out, and what m3o has printed
	last     string            // the commands of the last block for the terminal
	output   string            // what the last block has printed
}

func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{module: t.TempDir(), secrets: map[string]string{}}
	if err := copyModule(r.module); err != nil {
		t.Fatal(err)
	}
	r.terminal = open(t, r.module)
	return r
}

func (r *reader) follow(t *testing.T, b block) {
	t.Helper()
	switch b.kind {
	case blockShell:
		var code string
		r.last = r.fill(b.text)
		if r.output, code = r.terminal.run(t, r.last); code != "0" {
			t.Errorf("docs/first-service.md:%d fails with %s:\n%s", b.line, code, r.output)
		}
	case blockServer:
		r.serve(t, b)
	case blockOutput:
		if !printed(b.text).MatchString(r.output) {
			t.Errorf("docs/first-service.md:%d: the document says\n%s\nand this is printed\n%s", b.line, b.text, r.output)
		}
	case blockSoon:
		eventually(t, 10*time.Second, "this to be printed: "+b.text, func() bool {
			if printed(b.text).MatchString(r.output) {
				return true
			}
			r.output, _ = r.terminal.run(t, r.last)
			return false
		})
	case blockPart:
		if text := r.read(t, b); !strings.Contains(text, b.text) {
			t.Errorf("docs/first-service.md:%d: %s does not hold these lines:\n%s\nbut\n%s", b.line, b.file, b.text, text)
		}
	case blockChange:
		r.change(t, b)
	default:
		t.Errorf("docs/first-service.md:%d: this test does not know what to do with %q", b.line, b.kind)
	}
}

// fill puts in what only the reader knows: the secrets, and where m3o listens.
func (r *reader) fill(text string) string {
	for _, known := range slices.Sorted(maps.Keys(r.secrets)) {
		text = strings.ReplaceAll(text, known, r.secrets[known])
	}
	return text
}

var (
	printedKey      = regexp.MustCompile(`m3o_[0-9A-Za-z]{36}`)
	printedPassword = regexp.MustCompile(`(?m)^\s*Demo\s+\S+\s+password (\S+)`)
)

// serve starts m3o as the block says, at a port that is free the first time and the same ever after.
func (r *reader) serve(t *testing.T, b block) {
	t.Helper()
	if b.text != "go run ./cmd/m3o\n" {
		t.Fatalf("docs/first-service.md:%d starts %q", b.line, b.text)
	}
	address := "127.0.0.1:0"
	if r.server != nil {
		r.server.stop(t)
		address = strings.TrimPrefix(r.server.base, "http://")
	}
	path := filepath.Join(t.TempDir(), "m3o")
	if out, code := r.terminal.run(t, "go build -o "+path+" ./cmd/m3o\n"); code != "0" {
		t.Fatalf("docs/first-service.md:%d: %s", b.line, out)
	}
	r.server = startAt(t, path, "--listen", address, "--data", filepath.Join(r.module, "m3o-data"))
	r.output = strings.ReplaceAll(r.server.stdout.String(), r.server.base, "http://localhost:8080")
	r.secrets["http://localhost:8080"] = r.server.base
	if key := printedKey.FindString(r.output); key != "" {
		r.secrets["m3o_…"] = key
	}
	if password := printedPassword.FindStringSubmatch(r.output); password != nil {
		r.secrets["password=…"] = "password=" + password[1]
	}
}

// startAt runs a binary that was built elsewhere, with nobody's environment, and waits until it is ready.
func startAt(t *testing.T, path string, args ...string) *system {
	t.Helper()
	sys := &system{
		client: client{http: &http.Client{Timeout: time.Minute}},
		cmd:    exec.Command(path, args...), stdout: &output{}, logs: &output{}, ended: make(chan struct{}),
	}
	sys.cmd.Dir, sys.cmd.Env = t.TempDir(), []string{"PATH=" + os.Getenv("PATH")}
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
		sys.examine(t)
	})
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	eventually(t, 30*time.Second, "the binary to be ready", func() bool {
		if sys.hasEnded() {
			t.Fatalf("m3o ended at its start:\n%s", sys.logs)
		}
		if sys.base = address.FindString(sys.stdout.String()); sys.base == "" {
			return false
		}
		a, err := sys.send(http.MethodGet, "/readyz", nil)
		return err == nil && a.status == http.StatusOK
	})
	return sys
}

func (r *reader) read(t *testing.T, b block) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.module, filepath.FromSlash(b.file)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// change edits a file: the lines without a plus are there, together and once, and those without a minus take their place.
func (r *reader) change(t *testing.T, b block) {
	t.Helper()
	var before, after strings.Builder
	for line := range strings.Lines(b.text) {
		sign, rest := line[0], line[1:]
		if line == "\n" {
			sign, rest = ' ', line
		}
		if sign != '+' {
			before.WriteString(rest)
		}
		if sign != '-' {
			after.WriteString(rest)
		}
	}
	text := r.read(t, b)
	if n := strings.Count(text, before.String()); n != 1 {
		t.Fatalf("docs/first-service.md:%d: %s has these lines %d times:\n%s\nit is\n%s", b.line, b.file, n, before.String(), text)
	}
	text = strings.Replace(text, before.String(), after.String(), 1)
	if err := os.WriteFile(filepath.Join(r.module, filepath.FromSlash(b.file)), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// printed is the pattern of what the document says is printed.
func printed(text string) *regexp.Regexp {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line == "…\n" {
			b.WriteString(`(?s:.*)`)
			continue
		}
		line = strings.TrimRight(line, " \n")
		b.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", `.*`) + `[ \r]*\n`)
	}
	return regexp.MustCompile(`\A\s*` + b.String() + `\s*\z`)
}

// terminal is a shell that goes on from block to block.
type terminal struct {
	in  io.Writer
	out chan string // lines; closed when the shell has ended
}

// open starts the shell in a directory. Of the environment it gets what the go command needs, and no network.
func open(t *testing.T, dir string) *terminal {
	t.Helper()
	for _, tool := range []string{"sh", "go", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("the document needs %s: %v", tool, err)
		}
	}
	shell := exec.Command("sh")
	shell.Dir, shell.Env = dir, []string{"GOPROXY=off", "GOFLAGS=-trimpath", "LC_ALL=C"} // trimmed, what another copy has compiled is there
	for _, name := range []string{"PATH", "HOME", "GOCACHE", "GOMODCACHE", "GOPATH", "GOTOOLCHAIN", "GOROOT"} {
		if value := os.Getenv(name); value != "" {
			shell.Env = append(shell.Env, name+"="+value)
		}
	}
	in, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	reader, writer := io.Pipe()
	shell.Stdout, shell.Stderr = writer, writer
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(reader); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		_ = in.Close()
		_ = shell.Process.Kill()
		_ = shell.Wait()
		_ = writer.Close()
		for range lines { // so that the goroutine ends
		}
	})
	return &terminal{in, lines}
}

// run runs commands and returns what they print, and the exit code of the last one.
func (s *terminal) run(t *testing.T, commands string) (output, code string) {
	t.Helper()
	const end = "--- the end of the block: "
	if _, err := fmt.Fprintf(s.in, "{ %s\n} </dev/null; printf '\\n%s%%s\\n' $?\n", commands, end); err != nil {
		t.Fatal(err)
	}
	limit := time.After(2 * time.Minute)
	for {
		select {
		case line, running := <-s.out:
			if !running {
				t.Fatalf("the shell has ended:\n%s", output)
			}
			if after, ok := strings.CutPrefix(line, end); ok {
				return output, after
			}
			output += line + "\n"
		case <-limit:
			t.Fatalf("it takes too long:\n%s\n%s", commands, output)
		}
	}
}

// copyModule copies the sources of the module: what is hidden, built or data of a run stays behind.
func copyModule(to string) error {
	const root = ".."
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		switch {
		case name != "." && strings.HasPrefix(entry.Name(), "."), name == "bin", name == "m3o-data":
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return os.MkdirAll(target, 0o700)
		case !entry.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o600)
	})
}
