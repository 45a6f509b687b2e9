package split

import (
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"m3o/test/split/proxy"
)

const (
	adminEmail    = "admin@example.com"
	adminPassword = "correct-horse-battery-9"
)

// The engines, as links to them are called.
const (
	toNATS     = "NATS"
	toPostgres = "Postgres"
	toRedis    = "Redis"
)

// topology says which processes a deployment has.
type topology struct {
	name  string
	roles func(t *testing.T) []role
}

// role is what a process runs; without services it runs all, over the memory bus.
type role struct {
	name     string
	services []string
}

const gatewayService = "gateway"

// gateways are those of a split deployment.
var gateways = []role{{"gateway-a", []string{gatewayService}}, {"gateway-b", []string{gatewayService}}}

// others are the services beside the gateway.
func others(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(services(t), func(s string) bool { return s == gatewayService })
}

// The topologies that an operator grows through.
var (
	oneProcess  = topology{"1 process", func(*testing.T) []role { return []role{{name: "m3o"}} }}
	twoGateways = topology{"2 gateways and the rest", func(t *testing.T) []role {
		return append(slices.Clone(gateways), role{"rest", others(t)})
	}}
	restTwice = topology{"2 gateways and the rest twice", func(t *testing.T) []role {
		return append(slices.Clone(gateways), role{"rest-a", others(t)}, role{"rest-b", others(t)})
	}}
	eachAlone = topology{"2 gateways and every other service alone", func(t *testing.T) (all []role) {
		all = slices.Clone(gateways)
		for _, s := range others(t) {
			all = append(all, role{s, []string{s}})
		}
		return all
	}}
)

// deployment is a running system with its engines.
type deployment struct {
	topology  topology
	postgres  *postgres
	nats      *nats // nil for one process
	redis     engine
	processes []*process
	db        *sql.DB // past all links
	boss      client  // the admin
	signUps   int
}

// process is one of the processes, with its own link to each engine.
type process struct {
	*program
	role    role
	address string
	links   map[string]*proxy.Link
}

// base is where the process serves, in each of its lives.
func (p *process) base() string { return "http://" + p.address }

// deploy starts a topology and signs its admin in. settings are added to the environment of every process.
func deploy(t *testing.T, of topology, settings ...string) *deployment {
	t.Helper()
	d := &deployment{topology: of, postgres: newPostgres(t)}
	d.postgres.start(t)
	d.db = d.postgres.open(t)
	t.Cleanup(func() { _ = d.db.Close() })
	roles := of.roles(t)
	if len(roles) > 1 {
		d.nats, d.redis = newNATS(t), newRedis(t)
		d.nats.start(t)
		d.redis.start(t)
	}
	environment := append(d.environment(t), settings...)
	for _, r := range roles {
		d.processes = append(d.processes, d.newProcess(t, r, environment))
	}
	for _, p := range d.processes { // no order is needed
		p.program.start(t)
	}
	for _, p := range d.processes {
		p.ready(t, startLimit)
	}
	d.boss = d.client().as(login(t, d.client(), adminEmail, adminPassword))
	return d
}

// config lifts what would stop a load: the tiers' rates, and the throttles of sign-ups and logins.
const config = `
billing:
  tiers:
    free: {price: 0, free_calls: 10000, rate: 1000, caps: {}}
    solo: {price: 10000000, free_calls: 100000, rate: 1000, caps: {}}
    pro: {price: 35000000, free_calls: 1000000, rate: 1000, caps: {}}
    business: {price: 95000000, free_calls: 10000000, rate: 10000, caps: {}}
`

// environment are the settings that all processes share.
func (d *deployment) environment(t *testing.T) []string {
	t.Helper()
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{
		"PATH=" + os.Getenv("PATH"), "M3O_ADMIN_EMAIL=" + adminEmail, "M3O_ADMIN_PASSWORD=" + adminPassword, "M3O_NO_DEMO=true",
		"M3O_SECRET=" + hex.EncodeToString(secret), "M3O_CONFIG=" + file, `M3O_GATEWAY_UPSTREAMNETWORKS=["127.0.0.0/8", "::1/128"]`,
	}
}

func (d *deployment) newProcess(t *testing.T, r role, environment []string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := &process{role: r, address: freeAddress(t), links: map[string]*proxy.Link{}}
	args := []string{"serve", "--listen", p.address, "--data", filepath.Join(dir, "data")}
	args = append(args, "--db", "postgres://postgres@"+p.link(t, toPostgres, d.postgres)+"/"+databaseName+"?sslmode=disable")
	if d.nats != nil {
		args = append(args, "--services", strings.Join(r.services, ","), "--bus", "nats://"+p.link(t, toNATS, d.nats), "--redis", "redis://"+p.link(t, toRedis, d.redis))
	}
	p.program = newProgram(r.name, func() *exec.Cmd {
		cmd := exec.Command(path, args...)
		cmd.Dir, cmd.Env = dir, append(slices.Clone(environment), "HOME="+dir)
		return cmd
	})
	t.Cleanup(func() {
		p.kill()
		p.examine(t)
	})
	return p
}

// link makes the process's way to an engine and returns its address.
func (p *process) link(t *testing.T, name string, to engine) string {
	t.Helper()
	l, err := proxy.Listen(to.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p.links[name] = l
	return l.Address()
}

// freeAddress is one that nobody listens at, of the ports that no system gives to connections of its own accord, so that
// it is free again after each life.
func freeAddress(t *testing.T) string {
	t.Helper()
	const first, beyond, tries = 10_000, 32_000, 100
	for range tries {
		address := fmt.Sprintf("127.0.0.1:%d", first+mathrand.IntN(beyond-first))
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("there is no free port")
	return ""
}

// isReady says whether the process answers that it is.
func (p *process) isReady(t *testing.T) bool {
	t.Helper()
	p.alive(t)
	resp, err := http.Get(p.base() + "/readyz")
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func (p *process) ready(t *testing.T, limit time.Duration) {
	t.Helper()
	if !within(t.Context(), limit, func() bool { return p.isReady(t) }) {
		t.Fatalf("%s is not ready after %v; its log ends with:\n%s", p.name, limit, p.logs.tail())
	}
}

// restart gives the process a new life at the address where balancers look for it.
func (p *process) restart(t *testing.T) {
	t.Helper()
	p.program.start(t)
	p.ready(t, startLimit)
}

// stop ends the process in good order.
func (p *process) stop(t *testing.T) {
	t.Helper()
	cmd, _ := p.running()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(t, 30*time.Second); code != 0 {
		t.Errorf("%s ended with %d after a SIGTERM:\n%s", p.name, code, p.logs.tail())
	}
}

// secrets are what a log must never hold: keys, access tokens and refresh tokens.
var secrets = regexp.MustCompile(`m3o_([ar]t_)?[0-9A-Za-z]{30,}`)

// defects are what a log must never tell of, as words of their own: a random id may spell "panic".
var defects = regexp.MustCompile(`\bpanic(ked)?\b|\bgoroutine \d+|DATA RACE`)

// examine reads the log of all lives of the process.
func (p *process) examine(t *testing.T) {
	t.Helper()
	logs := p.logs.String()
	if at := defects.FindStringIndex(logs); at != nil {
		t.Errorf("the log of %s holds %q: …%s", p.name, logs[at[0]:at[1]], logs[max(0, at[0]-300):min(len(logs), at[0]+1500)])
	}
	if secret := secrets.FindString(logs); secret != "" {
		t.Errorf("the log of %s holds a secret: %s…", p.name, secret[:12])
	}
	if t.Failed() && testing.Verbose() {
		t.Logf("the log of %s ends with:\n%s", p.name, p.logs.tail())
	}
}

// restartEngine kills an engine and starts it anew; the links find it where it is then.
func (d *deployment) restartEngine(t *testing.T, name string, away time.Duration) {
	t.Helper()
	e := d.engine(name)
	e.kill(t)
	last(t, away)
	e.start(t)
	for _, p := range d.processes {
		p.links[name].Aim(e.address())
	}
}

func (d *deployment) engine(name string) engine {
	return map[string]engine{toNATS: d.nats, toPostgres: d.postgres, toRedis: d.redis}[name]
}

// doors are the processes that have the gateway.
func (d *deployment) doors() (all []*process) {
	for _, p := range d.processes {
		if p.role.services == nil || slices.Contains(p.role.services, gatewayService) {
			all = append(all, p)
		}
	}
	return all
}

// home is the process that runs a service.
func (d *deployment) home(service string) *process {
	i := slices.IndexFunc(d.processes, func(p *process) bool { return p.role.services == nil || slices.Contains(p.role.services, service) })
	return d.processes[i]
}

// client speaks to the first gateway, as nobody.
func (d *deployment) client() client { return client{door: d.doors()[0]} }

// services are those of the binary, as it says itself.
func services(t *testing.T) (names []string) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "services", "--json")
	text, err := cmd.Output()
	var said []struct{ Service string }
	if err := errors.Join(err, json.Unmarshal(text, &said)); err != nil {
		t.Fatalf("m3o services --json: %v\n%s", err, text)
	}
	for _, s := range said {
		names = append(names, s.Service)
	}
	return names
}
