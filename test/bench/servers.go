package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// servers are the two processes that are compared.
type servers struct {
	dir        string
	bare, m3o  *server
	bareTarget target
	m3oTarget  target
	binary     int64         // bytes
	started    time.Duration // from exec on an empty directory to the first answer
	idleRSS    int64         // bytes, before any load
	token      string
}

// server is a process that says its address on its standard output.
type server struct {
	command *exec.Cmd
	address string
	output  *bytes.Buffer
}

// config lifts what would stop the load: the tier's rate, and the logins.
const config = `
billing:
  tiers: {free: {price: 0, free_calls: 10000, rate: 0, caps: {}}}
`

func start() (*servers, error) {
	dir, err := os.MkdirTemp("", "m3o-bench-")
	if err != nil {
		return nil, err
	}
	s := &servers{dir: dir}
	if err := s.open(); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *servers) open() (err error) {
	binary := filepath.Join(s.dir, "m3o")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "./cmd/m3o")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build m3o (run the bench from the root of the project): %w", err)
	}
	info, err := os.Stat(binary)
	if err != nil {
		return err
	}
	s.binary = info.Size()
	configFile := filepath.Join(s.dir, "config.yaml")
	if err := os.WriteFile(configFile, []byte(config), 0o600); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if s.bare, err = launch(nil, self, "-bare"); err != nil {
		return err
	}
	begun := time.Now()
	env := []string{"M3O_ADMIN_EMAIL=admin@example.com", "M3O_ADMIN_PASSWORD=a bench needs no secret"}
	if s.m3o, err = launch(env, binary, "--listen", "127.0.0.1:0", "--data", filepath.Join(s.dir, "data"), "--config", configFile, "--log", "error"); err != nil {
		return err
	}
	if err := awaitReady(s.m3o.address); err != nil {
		return err
	}
	s.started = time.Since(begun)
	time.Sleep(500 * time.Millisecond) // idle
	if s.idleRSS, err = residentBytes(s.m3o.command.Process.Pid); err != nil {
		return err
	}
	return s.prepare()
}

// prepare gives the demo customer enough credit and makes the two requests.
func (s *servers) prepare() error {
	key := regexp.MustCompile(`m3o_[0-9A-Za-z]{36}`).FindString(s.m3o.output.String())
	if key == "" {
		return errors.New("m3o has printed no key")
	}
	var login struct {
		Token struct {
			AccessToken string `json:"access_token"`
		} `json:"token"`
	}
	if err := s.post("/customers/Login", `{"email":"admin@example.com","password":"a bench needs no secret"}`, &login); err != nil {
		return err
	}
	s.token = login.Token.AccessToken
	var list struct {
		Customers []struct{ ID, Email string } `json:"customers"`
	}
	if err := s.post("/customers/List", `{"search":"demo@localhost"}`, &list); err != nil || len(list.Customers) != 1 {
		return fmt.Errorf("find the demo customer: %w", err)
	}
	body := fmt.Sprintf(`{"customer_id":%q,"delta":1000000000000,"reference":"bench","idempotency_key":"bench","visible":true}`, list.Customers[0].ID)
	if err := s.post("/balance/Increment", body, nil); err != nil {
		return err
	}
	s.bareTarget = newTarget(s.bare.address, "")
	s.m3oTarget = newTarget(s.m3o.address, key)
	return nil
}

func (s *servers) post(path, body string, into any) error {
	r, err := http.NewRequest(http.MethodPost, s.m3o.address+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if s.token != "" {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, answer.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

func (s *servers) stop() {
	for _, server := range []*server{s.m3o, s.bare} {
		if server != nil {
			server.stop()
		}
	}
	_ = os.RemoveAll(s.dir)
}

// launch starts a server on the servers' core and waits until it says its address.
func launch(env []string, name string, args ...string) (*server, error) {
	s := &server{command: exec.Command("taskset", append([]string{"-c", serverCore, name}, args...)...), output: &bytes.Buffer{}}
	s.command.Env = append(os.Environ(), env...)
	s.command.Stderr = os.Stderr
	out, err := s.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	address := regexp.MustCompile(`http://[0-9.]+:[0-9]+`)
	for lines.Scan() {
		fmt.Fprintln(s.output, lines.Text())
		if s.address == "" {
			s.address = address.FindString(lines.Text())
		}
		if s.address != "" && (len(args) == 1 || strings.HasPrefix(lines.Text(), "curl")) {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return s, nil
		}
	}
	s.stop()
	return nil, fmt.Errorf("%s has not said its address: %s", name, s.output)
}

func (s *server) stop() {
	if s.command.ProcessState != nil {
		return
	}
	_ = s.command.Process.Signal(syscall.SIGTERM)
	_ = s.command.Wait()
}

func awaitReady(address string) error {
	for range 500 {
		if answer, err := http.Get(address + "/readyz"); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return errors.New("m3o does not get ready")
}
