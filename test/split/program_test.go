package split

import (
	"bytes"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// program is a process that can be started, stopped, killed and started anew. What it prints is kept over all its lives.
type program struct {
	name         string
	command      func() *exec.Cmd
	stdout, logs *output
	mu           sync.Mutex
	cmd          *exec.Cmd
	ended        chan struct{}
}

func newProgram(name string, command func() *exec.Cmd) *program {
	return &program{name: name, command: command, stdout: &output{}, logs: &output{}}
}

// start runs the program; the test ends it.
func (p *program) start(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stdout.clear()
	p.cmd, p.ended = p.command(), make(chan struct{})
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.logs
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	cmd, ended := p.cmd, p.ended
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
}

// running is the life that the program has now.
func (p *program) running() (*exec.Cmd, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd, p.ended
}

// kill ends the program as a power cut would. What has ended stays so.
func (p *program) kill() {
	if cmd, ended := p.running(); cmd != nil {
		_ = cmd.Process.Kill()
		<-ended
	}
}

func (p *program) hasEnded() bool {
	_, ended := p.running()
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

// alive fails the test when a program has ended that should run.
func (p *program) alive(t *testing.T) bool {
	t.Helper()
	if p.hasEnded() {
		t.Fatalf("%s has ended:\n%s%s", p.name, p.stdout.tail(), p.logs.tail())
	}
	return true
}

// wait returns the exit code of a program that is about to end.
func (p *program) wait(t *testing.T, limit time.Duration) int {
	t.Helper()
	cmd, ended := p.running()
	select {
	case <-ended:
		return cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		t.Fatalf("%s did not end within %v; its log ends with:\n%s", p.name, limit, p.logs.tail())
		return -1
	}
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

func (o *output) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Reset()
}

// tail is the end of it, for a message.
func (o *output) tail() string {
	text := o.String()
	return text[max(0, len(text)-3000):]
}
