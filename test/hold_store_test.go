package test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

// stopped keeps a system from its store until resume is called: Postgres takes no connection, the SQLite file is
// locked by somebody else.
func (s store) stopped(t *testing.T) (resume func()) {
	t.Helper()
	if s.db == "" {
		return s.locked(t)
	}
	name, server := databaseOf(t, s.db), os.Getenv("M3O_TEST_POSTGRES")
	d := pool(t, "pgx", server)
	execute(t, d, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false")
	execute(t, d, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+name+"'")
	return func() { execute(t, d, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS true") }
}

func (s store) locked(t *testing.T) (resume func()) {
	t.Helper()
	d := pool(t, "sqlite", "file:"+filepath.Join(s.dir, "m3o.db")+"?_pragma=busy_timeout(5000)")
	d.SetMaxOpenConns(1)
	execute(t, d, "BEGIN EXCLUSIVE")
	return func() { execute(t, d, "ROLLBACK") }
}

// databaseOf is the name of the database in its address.
func databaseOf(t *testing.T, address string) string {
	t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(at.Path, "/")
}

func pool(t *testing.T, driver, address string) *sql.DB {
	t.Helper()
	d, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func execute(t *testing.T, d *sql.DB, statement string) {
	t.Helper()
	if _, err := d.ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
		t.Errorf("%s: %v", statement, err)
	}
}

// forgive takes lines that an outage explains out of the log, before it is examined.
func (s *system) forgive(t *testing.T, explained *regexp.Regexp) {
	t.Cleanup(func() {
		s.kill()
		rest := &output{}
		for line := range strings.Lines(s.logs.String()) {
			if !explained.MatchString(line) {
				_, _ = rest.Write([]byte(line))
			}
		}
		s.logs = rest
	})
}

// resident is the memory of a process in bytes; 0 where that cannot be told.
func (s *system) resident() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	found := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(text)
	if found == nil {
		return 0
	}
	kilobytes, _ := strconv.ParseInt(string(found[1]), 10, 64)
	return kilobytes << 10
}

// steady calls one endpoint from a few clients until stopped, and counts.
type steady struct {
	slips  *slips
	wait   sync.WaitGroup
	stop   atomic.Bool
	served atomic.Int64
	away   atomic.Int64 // answers of 503
}

func newSteady(t *testing.T, c client, path string, clients int) *steady {
	s := &steady{slips: newSlips()}
	for range clients {
		s.wait.Go(func() {
			for !s.stop.Load() {
				switch status := s.slips.call(c, path); status {
				case http.StatusOK:
					s.served.Add(1)
				case http.StatusServiceUnavailable:
					s.away.Add(1)
				default:
					t.Errorf("%s is answered %d", path, status)
					return
				}
				<-time.After(2 * time.Millisecond) // its pace
			}
		})
	}
	return s
}

func (s *steady) end() {
	s.stop.Store(true)
	s.wait.Wait()
}

// isPosted says whether the entries of a customer add up to its balance.
func (c customer) isPosted(t *testing.T) bool {
	t.Helper()
	var sum int64
	for _, e := range c.entries(t, 1000) {
		sum += e.Amount
	}
	return sum == c.balance(t).Current
}

// outage is what the log may tell of while the store is away: what was tried in vain, and that it is the store's fault.
var outage = regexp.MustCompile(`level=ERROR msg="?[a-z ,]+"? .*error=.*(SQLSTATE (57P01|55000)|deadline exceeded|database is locked|conn closed|bad connection|EOF|reset by peer|broken pipe)`)

func TestAStoreThatStopsUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store) {
		const clients, recovery, most = 4, 30 * time.Second, 300 << 20 // the collector lets garbage grow to some 200 MB
		lasts := 3 * time.Second
		if long() {
			lasts = 10 * time.Second
		}
		sys := start(t, s)
		sys.forgive(t, outage)
		boss := sys.admin(t)
		up := newUpstream(t)
		publish(t, boss, newAPI("dear", up.URL, map[string]int64{"Say": 10_000}))
		low, high := sys.signUp(t, boss, "low@example.com"), sys.signUp(t, boss, "high@example.com")
		low.unlimited(t, boss)
		high.unlimited(t, boss)
		lowCredit, highCredit := low.credit(t, boss, 0), high.credit(t, boss, 500_000_000)
		cheap, dear := newSteady(t, sys.as(low.key(t).Key), "/v1/helloworld/call", clients), newSteady(t, sys.as(high.key(t).Key), "/v1/dear/say", clients)
		t.Cleanup(cheap.end)
		t.Cleanup(dear.end)
		both := func(more int64) func() bool {
			a, b := cheap.served.Load()+more, dear.served.Load()+more
			return func() bool { return cheap.served.Load() >= a && dear.served.Load() >= b }
		}
		eventually(t, 10*time.Second, "the load", both(100))
		memory, before := sys.resident(), cheap.served.Load()
		resume := s.stopped(t)
		<-time.After(lasts)
		if n := cheap.served.Load() - before; n == 0 {
			t.Error("what was leased has served nobody while the store was away")
		}
		if n := dear.away.Load(); n == 0 && (s.db != "" || long()) {
			t.Error("no call was answered 503")
		}
		if now := sys.resident(); now > most {
			t.Errorf("the memory has grown from %d to %d bytes", memory, now)
		}
		resume()
		eventually(t, recovery, "calls to be served again", both(100))
		cheap.end()
		dear.end()
		t.Logf("%d and %d calls served, %d and %d answered 503", cheap.served.Load(), dear.served.Load(), cheap.away.Load(), dear.away.Load())
		eventually(t, recovery, "what was charged to be posted", func() bool { return low.isPosted(t) && high.isPosted(t) })
		low.paidFor(t, cheap.slips, lowCredit, 0)
		high.paidFor(t, dear.slips, highCredit, 0)
		low.empty(t, boss)
		high.empty(t, boss)
		sys.balanced(t)
	})
}
