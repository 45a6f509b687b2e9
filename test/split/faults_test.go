package split

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"m3o/test/split/proxy"
)

// spendLimit is how long a customer with little may take, when a fault is over, to spend all of it: a hundred calls, while
// others call as well, on whatever machine.
const spendLimit = 45 * time.Second

// recoveryLimit is how long the system may take, when a fault is over, until every gateway serves and money can be paid
// in.
const recoveryLimit = 30 * time.Second

// How long faults last.
const (
	partition = 5 * time.Second
	slowness  = 5 * time.Second
	away      = time.Second            // of an engine that is restarted
	slow      = 100 * time.Millisecond // each way: 200 ms there and back
)

// fault is something that happens under load.
type fault struct {
	name   string
	strike func(t *testing.T, d *deployment) // returns when it is over
	always bool                              // also in the short run
}

// killed ends a process without warning, and starts it anew as a supervisor does. The long run does so three times.
func killed(name string, always bool) fault {
	return fault{"kill -9 of " + name, func(t *testing.T, d *deployment) {
		p := d.process(t, name)
		if long() {
			for range 2 {
				p.kill()
				p.restart(t)
			}
		}
		p.kill()
		p.program.start(t)
	}, always}
}

// restarted ends an engine without warning, and starts it anew.
func restarted(name string, always bool) fault {
	return fault{"restart of " + name, func(t *testing.T, d *deployment) { d.restartEngine(t, name, away) }, always}
}

// onLink does something to the link of a process to an engine, for a time.
func onLink(what, name, to string, length time.Duration, do func(*proxy.Link), always bool) fault {
	return fault{what + " between " + name + " and " + to, func(t *testing.T, d *deployment) {
		l := d.process(t, name).links[to]
		do(l)
		last(t, length)
		l.Mend()
	}, always}
}

func parted(name, to string, always bool) fault {
	return onLink("5 s partition", name, to, partition, (*proxy.Link).Hold, always)
}

func slowed(name, to string) fault {
	return onLink("slow link (200 ms)", name, to, slowness, func(l *proxy.Link) { l.Slow(slow) }, false)
}

// redisLost empties Redis and takes it away for a time.
func redisLost(always bool) fault {
	return fault{"Redis flushed and stopped", func(t *testing.T, d *deployment) {
		if err := flush(t.Context(), d.redis); err != nil {
			t.Error(err)
		}
		d.restartEngine(t, toRedis, 2*away)
	}, always}
}

// cutOff resets the connections of every process to an engine at once.
func cutOff(to string) fault {
	return fault{"all connections to " + to + " reset", func(_ *testing.T, d *deployment) {
		for _, p := range d.processes {
			p.links[to].Reset()
		}
	}, false}
}

// trials are the faults of each topology. Processes speak to each other by NATS only, so a partition between any two is
// one of a process and an engine, or of both processes and NATS.
var trials = []struct {
	topology topology
	faults   []fault
}{
	{oneProcess, []fault{
		killed("m3o", false),
		restarted(toPostgres, false),
		parted("m3o", toPostgres, false),
		slowed("m3o", toPostgres),
		cutOff(toPostgres),
	}},
	{twoGateways, []fault{
		killed("rest", true),
		killed("gateway-a", false),
		restarted(toNATS, true),
		restarted(toPostgres, false),
		redisLost(false),
		parted("gateway-a", toNATS, false),
		parted("rest", toNATS, false),
		parted("rest", toPostgres, false),
		parted("gateway-a", toRedis, false),
		slowed("gateway-a", toNATS),
		slowed("rest", toNATS),
		slowed("rest", toPostgres),
		slowed("gateway-a", toRedis),
		cutOff(toNATS),
		cutOff(toPostgres),
	}},
}

// restless are settings under which gateways lease a hundred calls at a time, so that each second they need the rest,
// and under which the log tells of what went wrong only.
var restless = []string{fmt.Sprint("M3O_GATEWAY_LEASESLICE=", 100*price), "M3O_LOG=warn"}

// TestFaults lets one fault after the other strike under load: nothing is lost, nothing is charged twice, nobody spends
// more than there is, and the system recovers without a hand.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, trial := range trials {
		t.Run(trial.topology.name, func(t *testing.T) {
			faults := slices.DeleteFunc(slices.Clone(trial.faults), func(f fault) bool { return !f.always && !long() })
			if len(faults) == 0 {
				t.Skip("these are for the long run: -faults or M3O_TEST_LONG=1")
			}
			d := deploy(t, trial.topology, restless...)
			m := d.openMarket(t)
			for _, f := range faults {
				t.Run(f.name, func(t *testing.T) { d.strike(t, m, f) })
			}
			t.Run("Withdrawals", d.withdrawals) // nobody has become deaf
		})
	}
}

// TestKillsOfEveryService kills each process where every service has one of its own.
func TestKillsOfEveryService(t *testing.T) {
	if !long() {
		t.Skip("this is for the long run: -faults or M3O_TEST_LONG=1")
	}
	d := deploy(t, eachAlone, restless...)
	m := d.openMarket(t)
	for _, p := range d.processes {
		f := killed(p.name, true)
		t.Run(f.name, func(t *testing.T) { d.strike(t, m, f) })
	}
}

// afterwards is how long the load goes on when every gateway serves again.
const afterwards = time.Second

// strike lets a fault strike under load, and reports what came of it.
func (d *deployment) strike(t *testing.T, m *market, f fault) {
	l := d.begin(t)
	f.strike(t, d)
	over := time.Now()
	if !within(t.Context(), recoveryLimit, func() bool { return l.worksSince(over) }) {
		t.Errorf("%v after the fault not every gateway serves:\n%s", recoveryLimit, d.tails())
	}
	for _, p := range d.processes {
		p.ready(t, time.Until(over.Add(recoveryLimit)))
	}
	recovery := time.Since(over)
	last(t, afterwards)
	call, deposit := l.longestGaps()
	eventually(t, spendLimit, "the poor shopper to spend everything", func() bool { return l.poor.count()+l.poor.lost() >= poorCalls })
	spent := time.Since(over)
	l.stop()
	row := d.outcome(t, f.name, m, l)
	row.gap, row.deposit, row.recovery, row.spent = call, deposit, recovery, spent
	results.add(t, row)
}

// outcome holds the books of a load that has ended against what its shoppers have seen.
func (d *deployment) outcome(t *testing.T, fault string, m *market, l *load) outcome {
	t.Helper()
	begun := time.Now()
	complaints := d.agree(t, m, l.rich, l.poor)
	for _, c := range complaints {
		t.Error(c)
	}
	calls, served, others := l.rich.figures()
	return outcome{
		topology: d.topology.name, fault: fault, calls: calls, served: served, retried: l.rich.retried, others: others,
		settled: time.Since(begun), complaints: len(complaints),
	}
}

// lost is how many attempts have got no answer.
func (s *shopper) lost() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unanswered
}

// process is the one of a name.
func (d *deployment) process(t *testing.T, name string) *process {
	t.Helper()
	i := slices.IndexFunc(d.processes, func(p *process) bool { return p.name == name })
	if i < 0 {
		t.Fatalf("there is no process %s", name)
	}
	return d.processes[i]
}

// tails are the ends of all logs.
func (d *deployment) tails() (text string) {
	for _, p := range d.processes {
		text += "--- " + p.name + "\n" + p.logs.tail() + "\n"
	}
	return text
}
