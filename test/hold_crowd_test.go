package test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// crowd are connections that are held open.
type crowd struct {
	address string
	mu      sync.Mutex
	conns   []net.Conn
}

func (s *system) newCrowd(t *testing.T) *crowd {
	c := &crowd{address: strings.TrimPrefix(s.base, "http://")}
	t.Cleanup(c.leave)
	return c
}

// leave ends all connections at once, so that their ports are free again.
func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
	c.conns = nil
}

// join opens n connections, and has each do what idlers do.
func (c *crowd) join(t *testing.T, n int, do func(i int, conn net.Conn) error) {
	t.Helper()
	var next atomic.Int64
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				conn, err := net.DialTimeout("tcp", c.address, 10*time.Second)
				if err == nil {
					c.mu.Lock()
					c.conns = append(c.conns, conn)
					c.mu.Unlock()
					err = do(i, conn)
				}
				if err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
			}
		})
	}
	wait.Wait()
}

// files is how many connections a test may hold, of at most so many: this process and m3o have a file for each.
func files(t *testing.T, most int) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if room := int(min(limit.Max, 1<<20)) - 2000; room < most { // others run beside this test
		t.Logf("ulimit -n of %d allows only %d of %d connections", limit.Max, room, most)
		return max(room, 100)
	}
	return most
}

// isServed makes calls and wants each to be served within the limit.
func (c client) isServed(t *testing.T, n int, limit time.Duration, paths ...string) {
	t.Helper()
	for i := range n {
		path := paths[i%len(paths)]
		begun := time.Now()
		a, err := c.send(http.MethodPost, path, strings.NewReader("{}"))
		if took := time.Since(begun); err != nil || a.status != http.StatusOK || took > limit {
			t.Fatalf("%s is answered %d %v after %v", path, a.status, err, took)
		}
	}
}

func TestSlowAndIdleClientsStopNobodyElse(t *testing.T) {
	t.Parallel()
	const slow, idle, limit = 1000, 10_000, time.Second
	paths := []string{"/v1/helloworld/call", "/v1/moody/good"}
	sys := start(t, sqlite(t))
	boss := sys.admin(t)
	newMoody(t).sell(t, boss)
	bad, ann := sys.signUp(t, boss, "bad@example.com"), sys.signUp(t, boss, "ann@example.com")
	bad.unlimited(t, boss)
	k, caller := bad.key(t).Key, sys.as(ann.key(t).Key)
	caller.isServed(t, 20, limit, paths...)
	loris := sys.newCrowd(t)
	head := "POST /v1/%s HTTP/1.1\r\nHost: m3o\r\nAuthorization: Bearer " + k + "\r\nContent-Type: application/json\r\n"
	loris.join(t, slow, func(i int, conn net.Conn) error {
		half := []string{
			"POST /v1/helloworld/call HTT",
			fmt.Sprintf(head, "helloworld/call") + "X-Half:",
			fmt.Sprintf(head, "helloworld/call") + "Content-Length: 100\r\n\r\n{",
			fmt.Sprintf(head, "moody/good") + "Content-Length: 100\r\n\r\n{",
			fmt.Sprintf(head, "moody/good") + "Content-Length: 100\r\n\r\n{",
			fmt.Sprintf(head, "moody/good") + "Content-Length: 100\r\n\r\n{",
			fmt.Sprintf(head, "moody/good") + "Content-Length: 100\r\n\r\n{",
			fmt.Sprintf(head, "moody/good") + "Transfer-Encoding: chunked\r\n\r\n5\r\n{",
		}
		_, err := conn.Write([]byte(half[i%len(half)]))
		return err
	})
	caller.isServed(t, 100, limit, paths...)
	idlers := sys.newCrowd(t)
	idlers.join(t, files(t, idle), func(i int, conn net.Conn) error {
		if i%2 == 0 { // says nothing at all
			return nil
		}
		if _, err := conn.Write([]byte("GET /healthz HTTP/1.1\r\nHost: m3o\r\n\r\n")); err != nil {
			return err
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
	caller.isServed(t, 100, limit, paths...)
	loris.leave()
	idlers.leave()
	caller.isServed(t, 20, limit, paths...)
	if n := len(bad.records(t, 100)); n != 0 {
		t.Errorf("%d half requests are charged", n)
	}
	bad.empty(t, boss)
	sys.balanced(t)
}

// median is the middle one of durations.
func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// timed makes calls and returns how long each took; every one must be served.
func (c client) timed(t *testing.T, n int) (all []time.Duration) {
	t.Helper()
	for range n {
		begun := time.Now()
		if a, err := c.hello(); err != nil || a.status != http.StatusOK {
			t.Fatalf("answered %d %v %s", a.status, err, a.body)
		}
		all = append(all, time.Since(begun))
	}
	return all
}

// TestARefusedCustomerCostsOthersNothing does not run beside others, since it compares times. Rounds with and without
// the refused customer take turns, so that both see the same machine.
func TestARefusedCustomerCostsOthersNothing(t *testing.T) {
	const rounds, calls, hammers, noise = 5, 100, 2, time.Millisecond
	sys := start(t, sqlite(t), config(t, `
billing:
  tiers:
    free: {price: 0, free_calls: 0, rate: 0, caps: {}}
    slow: {price: 0, free_calls: 0, rate: 2, caps: {}}
`)...)
	boss := sys.admin(t)
	good, poor, fast := sys.signUp(t, boss, "good@example.com"), sys.signUp(t, boss, "poor@example.com"), sys.signUp(t, boss, "fast@example.com")
	poor.setBalance(t, boss, 5)
	done(t, boss, "/billing/SubscribeTier", map[string]string{"id": "slow", "customer_id": fast.id})
	caller := sys.as(good.key(t).Key)
	caller.timed(t, 50)
	for _, who := range []struct {
		customer
		status int
	}{{poor, http.StatusPaymentRequired}, {fast, http.StatusTooManyRequests}} {
		bad := sys.as(who.key(t).Key)
		var alone, beside []time.Duration
		var refusals atomic.Int64
		for range rounds {
			alone = append(alone, caller.timed(t, calls)...)
			stop := bad.hammer(t, hammers, who.status, &refusals)
			beside = append(beside, caller.timed(t, calls)...)
			stop()
		}
		before, after := median(alone), median(beside)
		t.Logf("%s: %d refusals, %v alone, %v beside", who.email, refusals.Load(), before, after)
		if after > max(3*before, noise) || refusals.Load() < rounds*calls/10 {
			t.Errorf("%s: a call took %v alone and %v beside %d refusals", who.email, before, after, refusals.Load())
		}
	}
}

// hammer calls from n clients as fast as they can until stopped, and wants every answer, but those that the rate lets
// through, to be a refusal.
func (c client) hammer(t *testing.T, n, status int, refusals *atomic.Int64) (stop func()) {
	var over atomic.Bool
	var wait sync.WaitGroup
	for range n {
		wait.Go(func() {
			for !over.Load() {
				switch a, err := c.hello(); {
				case err == nil && a.status == status:
					refusals.Add(1)
				case err != nil || a.status != http.StatusOK || status != http.StatusTooManyRequests:
					t.Errorf("answered %d %v", a.status, err)
					return
				}
			}
		})
	}
	return func() {
		over.Store(true)
		wait.Wait()
	}
}
