package load

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Binary is a build of m3o.
type Binary struct {
	Path  string
	Size  int64  // bytes, stripped
	Cores string // that it runs on; empty: ServerCore
}

// Build builds m3o into a directory, as it is released. It works from the root of the
// project only.
func Build(dir string) (Binary, error) {
	b := Binary{Path: filepath.Join(dir, "m3o")}
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", b.Path, "./cmd/m3o")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return b, fmt.Errorf("build m3o (run the bench from the root of the project): %w", err)
	}
	info, err := os.Stat(b.Path)
	if err != nil {
		return b, err
	}
	b.Size = info.Size()
	return b, nil
}

// M3O is a running m3o.
type M3O struct {
	*Server
	Admin   Client        // nobody before SignIn
	Started time.Duration // from exec to the first answer
}

// The admin of every m3o that a bench starts. It can be reached from this machine
// only, and is gone when the bench is.
const (
	adminEmail    = "admin@example.com"
	adminPassword = "a bench needs no secret"
)

// config lifts what would stop a load: the tier's rate. Sessions last as long as a run
// may.
const config = `
billing:
  tiers: {free: {price: 0, free_calls: 10000, rate: 0, caps: {}}}
customers:
  access_lifetime: 720h
gateway:
  upstream_networks: '["127.0.0.0/8"]'
`

// Start starts m3o on an empty directory, which it makes, and waits until it is ready.
// sync is when served calls are on the disk: none, interval or always. env holds
// settings beyond those of every bench.
func (b Binary) Start(dir, sync string, env ...string) (*M3O, error) {
	args, err := b.prepare(dir, sync)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	s, err := launch(cmp.Or(b.Cores, ServerCore), withAdmin(env), b.Path, append(args, "--listen", "127.0.0.1:0")...)
	if err != nil {
		return nil, err
	}
	m := &M3O{Server: s, Admin: Client{base: s.Address}}
	if err := s.awaitReady(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	m.Started = time.Since(begun)
	return m, nil
}

// StartBeside is Start for a process without customers, whose services belong to others on
// a bus. It does not say its address, so it is given a port that was free a moment before.
func (b Binary) StartBeside(dir string, env ...string) (*Server, error) {
	args, err := b.prepare(dir, "none")
	if err != nil {
		return nil, err
	}
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := port.Addr().String()
	_ = port.Close()
	s := prepare(cmp.Or(b.Cores, ServerCore), env, b.Path, append(args, "--listen", address)...)
	s.Address = "http://" + address
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	if err := s.awaitReady(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func withAdmin(env []string) []string {
	return append(env, "M3O_ADMIN_EMAIL="+adminEmail, "M3O_ADMIN_PASSWORD="+adminPassword)
}

// prepare makes a directory with a config file; it returns the command's arguments.
func (b Binary) prepare(dir, sync string) (args []string, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	configFile := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(configFile, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return []string{"serve", "--data", filepath.Join(dir, "data"), "--config", configFile, "--log", "error", "--journal-sync", sync}, nil
}

// SignIn makes Admin the admin.
func (m *M3O) SignIn() error {
	var out struct{ Token session }
	err := m.Admin.Post("/customers/Login", map[string]string{"email": adminEmail, "password": adminPassword}, &out)
	m.Admin.token = out.Token.Access
	return err
}

// Price is what a call of an API of the benches costs, in micro-dollars.
const Price = 10

// document describes the API that is passed on to the upstream.
const document = `{
	"openapi": "3.0.3", "info": {"title": "Upstream", "version": "1"},
	"paths": {"/upstream/hello": {"post": {
		"operationId": "Upstream.Hello",
		"requestBody": {"content": {"application/json": {"schema": {"type": "object", "properties": {"name": {"type": "string"}}}}}},
		"responses": {"200": {"description": "A greeting"}}
	}}}
}`

// Publish puts the upstream on sale; it is called at UpstreamPath.
func (m *M3O) Publish(upstream *Server) error {
	return m.Admin.Post("/publicapi/Publish", map[string]any{"api": map[string]any{
		"name": "upstream", "display_name": "Upstream", "description": "Greets.", "category": "testing",
		"open_api_json": document, "examples_json": "{}", "pricing": map[string]int64{"Upstream.Hello": Price}, "target": upstream.Address,
	}}, nil)
}
