package load

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"time"
)

// Server is a process that says its address on its standard output.
type Server struct {
	Address string // such as http://127.0.0.1:40123
	command *exec.Cmd
}

// prepare makes a server that will run on a core.
func prepare(core string, env []string, name string, args ...string) *Server {
	s := &Server{command: exec.Command("taskset", append([]string{"-c", core, name}, args...)...)}
	s.command.Env = append(os.Environ(), env...)
	s.command.Stderr = os.Stderr
	return s
}

// launch starts a server on a core and waits until it says its address.
func launch(core string, env []string, name string, args ...string) (*Server, error) {
	s := prepare(core, env, name, args...)
	out, err := s.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	address := regexp.MustCompile(`http://[0-9.]+:[0-9]+`)
	for s.Address == "" && lines.Scan() {
		s.Address = address.FindString(lines.Text())
	}
	if s.Address == "" {
		return nil, errors.Join(fmt.Errorf("%s has not said its address", name), s.Stop())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return s, nil
}

// pid is the process of the server itself: taskset becomes what it starts.
func (s *Server) pid() int { return s.command.Process.Pid }

// Stop asks the server to end and waits for it. It may be called twice, and on nil.
func (s *Server) Stop() error {
	if s == nil || s.command.ProcessState != nil {
		return nil
	}
	_ = s.command.Process.Signal(syscall.SIGTERM)
	return s.command.Wait()
}

func (s *Server) awaitReady() error {
	for range 500 {
		if answer, err := http.Get(s.Address + "/readyz"); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return errors.New("m3o does not get ready")
}
