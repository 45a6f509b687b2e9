package split

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/redis/go-redis/v9"

	"m3o/test/split/proxy"
)

// engine is what the processes of a deployment share and reach over links.
type engine interface {
	start(t *testing.T)     // returns when it can be used
	kill(t *testing.T)      // as a power cut would; what it has acknowledged is there at the next start
	address() proxy.Address // changes with a start
}

// startLimit is how long an engine or a process may take to be ready.
const startLimit = 60 * time.Second

// workplace makes a directory that every user of the machine can reach, with a path short enough for sockets.
func workplace(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "m3o-split")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// postgres is a cluster of its own, which listens at a socket.
type postgres struct {
	*program
	dir string
}

// databaseName is that of the database of the cluster.
const databaseName = "postgres"

func newPostgres(t *testing.T) *postgres {
	t.Helper()
	initdb, postmaster := postgresTool(t, "initdb"), postgresTool(t, "postgres")
	p := &postgres{dir: workplace(t)}
	account := unprivileged(t, p.dir)
	data := filepath.Join(p.dir, "data")
	create := exec.Command(initdb, "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "--no-locale", "-E", "UTF8")
	create.SysProcAttr = account
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	// Without fsync a machine that dies may lose commits; a process that is killed loses none.
	p.program = newProgram("postgres", func() *exec.Cmd {
		cmd := exec.Command(postmaster, "-D", data, "-k", p.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=500")
		cmd.SysProcAttr = account
		return cmd
	})
	t.Cleanup(func() { p.kill(t) })
	return p
}

// postgresTool is the path of one of Postgres's programs, the newest there is.
func postgresTool(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		missing(t, "PostgreSQL's "+name+" is not installed")
	}
	return found[len(found)-1]
}

// unprivileged is how a program runs that refuses to run as root, and gives it a directory.
func unprivileged(t *testing.T, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		missing(t, "PostgreSQL does not run as root, and there is no user postgres")
	}
	uid, err1 := strconv.Atoi(account.Uid)
	gid, err2 := strconv.Atoi(account.Gid)
	if err := errors.Join(err1, err2, os.Chown(dir, uid, gid)); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

func (p *postgres) start(t *testing.T) {
	t.Helper()
	p.program.start(t)
	db := p.open(t)
	defer func() { _ = db.Close() }()
	eventually(t, startLimit, "Postgres", func() bool { return p.alive(t) && db.PingContext(t.Context()) == nil })
}

// kill stops the cluster without a word to its clients (an immediate shutdown); the next start recovers.
func (p *postgres) kill(*testing.T) {
	if cmd, ended := p.running(); cmd != nil {
		_ = cmd.Process.Signal(syscall.SIGQUIT)
		<-ended
	}
}

func (p *postgres) address() proxy.Address {
	return proxy.Address{Network: "unix", Name: filepath.Join(p.dir, ".s.PGSQL.5432")}
}

// open is the test's own way to the database, past all links.
func (p *postgres) open(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", "postgres://postgres@/"+databaseName+"?host="+url.QueryEscape(p.dir))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// natsStore is the variable that makes this test binary a NATS server, with JetStream in the directory that it names.
const natsStore = "M3O_SPLIT_NATS_STORE"

// serveNATS runs a NATS server that has on its disk what it acknowledges. It says its port, and ends with its parent.
func serveNATS(store string) int {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: store, SyncAlways: true, NoSigs: true,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s.Start()
	if !s.ReadyForConnections(startLimit) {
		fmt.Fprintln(os.Stderr, "the NATS server does not take connections")
		return 1
	}
	fmt.Println(s.Addr().String())
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Shutdown()
	return 0
}

// nats is a server that keeps its streams over its lives.
type nats struct{ *program }

func newNATS(t *testing.T) *nats {
	t.Helper()
	store := workplace(t)
	stay, leave, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	n := &nats{newProgram("nats", func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env, cmd.Stdin = append(os.Environ(), natsStore+"="+store), stay
		return cmd
	})}
	t.Cleanup(func() {
		n.kill(t)
		_, _ = stay.Close(), leave.Close()
	})
	return n
}

func (n *nats) start(t *testing.T) {
	t.Helper()
	n.program.start(t)
	eventually(t, startLimit, "NATS", func() bool { return n.alive(t) && strings.HasSuffix(n.stdout.String(), "\n") })
}

func (n *nats) kill(*testing.T) { n.program.kill() }

func (n *nats) address() proxy.Address {
	return proxy.Address{Network: "tcp", Name: strings.TrimSpace(n.stdout.String())}
}

// redisServer is a Redis that forgets everything when it ends.
type redisServer struct {
	*program
	socket string
}

// newRedis is a Redis, or what stands in for one where it is not installed.
func newRedis(t *testing.T) engine {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return newMiniRedis(t)
	}
	dir := workplace(t)
	r := &redisServer{socket: filepath.Join(dir, "redis.sock")}
	r.program = newProgram("redis", func() *exec.Cmd {
		return exec.Command(path, "--port", "0", "--unixsocket", r.socket, "--save", "", "--appendonly", "no", "--dir", dir)
	})
	t.Cleanup(func() { r.kill(t) })
	return r
}

func (r *redisServer) start(t *testing.T) {
	t.Helper()
	r.program.start(t)
	eventually(t, startLimit, "Redis", func() bool { return r.alive(t) && flush(t.Context(), r) == nil })
}

func (r *redisServer) kill(*testing.T) { r.program.kill() }

func (r *redisServer) address() proxy.Address {
	return proxy.Address{Network: "unix", Name: r.socket}
}

// flush empties a Redis, past all links.
func flush(ctx context.Context, e engine) error {
	c := redis.NewClient(&redis.Options{Network: e.address().Network, Addr: e.address().Name})
	defer func() { _ = c.Close() }()
	return c.FlushAll(ctx).Err()
}

// miniRedis stands in for Redis in the test's own process.
type miniRedis struct{ *miniredis.Miniredis }

func newMiniRedis(t *testing.T) engine {
	m := miniRedis{miniredis.NewMiniRedis()}
	t.Cleanup(func() { m.kill(t) })
	return m
}

func (m miniRedis) start(t *testing.T) {
	t.Helper()
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
}

func (m miniRedis) kill(*testing.T) {
	m.FlushAll()
	m.Close()
}

func (m miniRedis) address() proxy.Address { return proxy.Address{Network: "tcp", Name: m.Addr()} }
