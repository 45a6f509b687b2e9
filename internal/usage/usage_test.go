package usage_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/auth"
	"m3o/internal/billing/billingapi"
	"m3o/internal/billing/billingapi/billingapifakes"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/customers/customersapi"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/rpc/rpctest"
	"m3o/internal/usage"
	"m3o/internal/usage/usageapi"
	"m3o/pkg/events/proto/customers"
)

// clock is a clock that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// room is the usage service in a test.
type room struct {
	clock  *clock
	db     *db.DB
	bus    bus.Bus
	outbox *outbox.Outbox
}

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

// each runs a body on both engines, directly and over loopback with every
// mutating call delivered twice.
func each(t *testing.T, body func(t *testing.T, s usageapi.Service, r *room)) {
	t.Parallel()
	contract := rpctest.Contract[usageapi.Service]{Routes: usageapi.Routes, Client: func(b bus.Bus) usageapi.Service { return usageapi.NewClient(b) }}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, r := newRoom(t, d)
		body(t, s, r)
	})
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, r := newRoom(t, d)
		body(t, rpctest.Loopback(t, contract, s), r)
	})
}

func newRoom(t *testing.T, d *db.DB) (usageapi.Service, *room) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	r := &room{clock: &clock{now: at("2026-03-15T12:00:00Z")}, db: d, outbox: outbox.New(d, time.Now, log)}
	r.bus = bus.NewMemory(bus.MemoryConfig{Logger: log, DeadLetter: r.outbox.DeadLetter})
	tiers := &billingapifakes.FakeService{}
	tiers.TierOfReturns(billingapi.Tier{ID: "free", FreeCalls: 100}, nil)
	s, err := usage.New(usage.Deps{
		DB: d, Bus: r.bus, Outbox: r.outbox, Config: config.Unset{}, Metrics: prometheus.NewRegistry(), Log: log, Now: r.clock.Now, Billing: tiers,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Register(r.bus))
	return s, r
}

func as(t *testing.T, customerID string) context.Context {
	return auth.With(t.Context(), auth.Account{ID: customerID, Type: auth.TypeCustomer})
}

// calls are n calls of cus_a at the room's time; change may alter each.
func (r *room) calls(from, n int, change func(*usageapi.Call)) []usageapi.Call {
	calls := make([]usageapi.Call, n)
	for i := range calls {
		calls[i] = usageapi.Call{
			RequestID: fmt.Sprintf("req_%03d", from+i), CustomerID: "cus_a", KeyID: "key_1", Service: "demo", Endpoint: "Demo.Paid",
			Status: 200, Price: 10, Duration: 1500 * time.Microsecond, Time: r.clock.Now().Add(time.Duration(from+i) * time.Millisecond),
		}
		if change != nil {
			change(&calls[i])
		}
	}
	return calls
}

func record(t *testing.T, s usageapi.Service, calls []usageapi.Call, refused int) {
	t.Helper()
	got, err := s.Record(t.Context(), calls)
	if err != nil || len(got) != refused {
		t.Fatalf("refused %v (%v), want %d", got, err, refused)
	}
}

func TestACallIsRecordedOnceHoweverOftenItIsHandedIn(t *testing.T) {
	each(t, func(t *testing.T, s usageapi.Service, r *room) {
		calls := r.calls(0, 30, nil)
		record(t, s, append(calls, calls[:5]...), 0)
		record(t, s, calls[10:], 0)
		total, endpoints, err := s.ReadMonthlyTotal(as(t, "cus_a"), "", true)
		if err != nil || total != 30 || endpoints["demo$Demo.Paid"] != 30 {
			t.Fatalf("%d %v %v", total, endpoints, err)
		}
		var facts int
		if err := r.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM outbox WHERE topic = 'requests'`).Scan(&facts); err != nil || facts != 1 {
			t.Fatalf("%d facts were stated, %v", facts, err)
		}
	})
}

func TestReadByDayAndEndpoint(t *testing.T) {
	each(t, func(t *testing.T, s usageapi.Service, r *room) {
		record(t, s, r.calls(0, 2, nil), 0)
		record(t, s, r.calls(2, 1, func(c *usageapi.Call) { c.Endpoint, c.Free = "Demo.Free", true }), 0)
		record(t, s, r.calls(3, 1, func(c *usageapi.Call) { c.Time = at("2026-03-16T00:00:00Z") }), 0)
		record(t, s, r.calls(4, 1, func(c *usageapi.Call) { c.Time, c.CustomerID = at("2026-03-16T00:00:00Z"), "cus_b" }), 0)
		got, remaining, err := s.Read(as(t, "cus_a"), "", true)
		if err != nil || remaining != 99 {
			t.Fatalf("%d remain, %v", remaining, err)
		}
		want := map[string][]usageapi.Day{
			"demo":           {{Date: "2026-03-15", Requests: 3}, {Date: "2026-03-16", Requests: 1}},
			"demo$Demo.Paid": {{Date: "2026-03-15", Requests: 2}, {Date: "2026-03-16", Requests: 1}},
			"demo$Demo.Free": {{Date: "2026-03-15", Requests: 1}},
		}
		if len(got) != len(want) {
			t.Fatalf("got %v", got)
		}
		for name, days := range want {
			if fmt.Sprint(got[name].Records) != fmt.Sprint(days) || got[name].APIName != "demo" {
				t.Errorf("%s: %+v, want %v", name, got[name], days)
			}
		}
		if plain, _, _ := s.Read(as(t, "cus_a"), "", false); len(plain) != 1 {
			t.Errorf("without detail: %v", plain)
		}
		if _, _, err := s.Read(as(t, "cus_a"), "cus_b", false); !fault.Is(err, fault.Forbidden) {
			t.Errorf("another's usage: %v", err)
		}
	})
}

func TestRecordsAreListedNewestFirstPageByPage(t *testing.T) {
	each(t, func(t *testing.T, s usageapi.Service, r *room) {
		record(t, s, r.calls(0, 7, nil), 0)
		var ids []string
		for cursor, pages := "", 0; ; pages++ {
			records, next, err := s.ListRecords(as(t, "cus_a"), "", 3, cursor)
			if err != nil {
				t.Fatal(err)
			}
			for _, record := range records {
				ids = append(ids, record.RequestID)
			}
			if pages == 0 { // what comes meanwhile does not disturb the listing
				record(t, s, r.calls(7, 1, nil), 0)
			}
			if cursor = next; cursor == "" {
				break
			}
		}
		if fmt.Sprint(ids) != "[req_006 req_005 req_004 req_003 req_002 req_001 req_000]" {
			t.Errorf("got %v", ids)
		}
		records, _, _ := s.ListRecords(as(t, "cus_a"), "", 1, "")
		if got := records[0]; got.DurationUS != 1500 || got.Price != 10 || !got.Time.Equal(r.clock.Now().Add(7*time.Millisecond)) {
			t.Errorf("got %+v", got)
		}
	})
}

func TestAClosedLeaseRefusesCallsAndSaysWhatWasCharged(t *testing.T) {
	each(t, func(t *testing.T, s usageapi.Service, r *room) {
		on := func(lease string) func(*usageapi.Call) { return func(c *usageapi.Call) { c.Lease = lease } }
		record(t, s, r.calls(0, 3, on("lse_1")), 0)
		record(t, s, r.calls(3, 2, on("lse_2")), 0)
		charged, err := s.Charged(t.Context(), "cus_a", []string{"lse_1", "lse_2", "lse_3"})
		if err != nil || charged["lse_1"] != 30 || charged["lse_2"] != 20 || charged["lse_3"] != 0 {
			t.Fatalf("%v %v", charged, err)
		}
		for range 2 {
			if total, err := s.CloseLease(t.Context(), "lse_1"); err != nil || total != 30 {
				t.Fatalf("closed with %d, %v", total, err)
			}
		}
		mixed := append(r.calls(5, 2, on("lse_1")), r.calls(7, 2, on("lse_2"))...)
		record(t, s, mixed, 2)
		if total, err := s.CloseLease(t.Context(), "lse_1"); err != nil || total != 30 {
			t.Fatalf("after the fence: %d, %v", total, err)
		}
		if total, err := s.CloseLease(t.Context(), "lse_2"); err != nil || total != 40 {
			t.Fatalf("the other lease: %d, %v", total, err)
		}
		if total, err := s.CloseLease(t.Context(), "lse_never"); err != nil || total != 0 {
			t.Fatalf("a lease that was never used: %d, %v", total, err)
		}
	})
}

func TestRecordingAndClosingThatRaceAgree(t *testing.T) {
	each(t, func(t *testing.T, s usageapi.Service, r *room) {
		for round := range 5 {
			lease := fmt.Sprint("lse_", round)
			var wait sync.WaitGroup
			var mu sync.Mutex
			accepted := 0
			for n := range 8 {
				wait.Go(func() {
					refused, err := s.Record(t.Context(), r.calls(100*round+10*n, 5, func(c *usageapi.Call) { c.Lease = lease }))
					mu.Lock()
					defer mu.Unlock()
					if accepted += 5 - len(refused); err != nil {
						t.Error(err)
					}
				})
			}
			var total int64
			wait.Go(func() {
				var err error
				if total, err = s.CloseLease(t.Context(), lease); err != nil {
					t.Error(err)
				}
			})
			wait.Wait()
			if total != int64(accepted)*10 {
				t.Fatalf("closed with %d, but %d calls at 10 were accepted", total, accepted)
			}
		}
	})
}

// request is a gateway's for a new lease of an allowance of cus_a.
func request(holder, name string, limit, units int64) usageapi.QuotaRequest {
	return usageapi.QuotaRequest{CustomerID: "cus_a", LeaseID: id.New("qls"), Holder: holder, Name: name, Limit: limit, Want: units}
}

func TestALeaseOfAnAllowanceIsGrantedOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, r := newRoom(t, d)
		ctx := t.Context()
		ask := request("gw_a", usageapi.FreeCalls, 10, 8)
		lease, err := s.LeaseQuota(ctx, ask)
		if err != nil || lease.Granted != 8 || lease.ID != ask.LeaseID {
			t.Fatalf("%+v %v", lease, err)
		}
		if again, err := s.LeaseQuota(ctx, ask); err != nil || again != lease { // its answer got lost
			t.Fatalf("%+v, want %+v (%v)", again, lease, err)
		}
		if rest, err := s.LeaseQuota(ctx, request("gw_a", usageapi.FreeCalls, 10, 8)); err != nil || rest.Granted != 2 {
			t.Fatalf("%+v %v", rest, err)
		}
		r.clock.set(lease.Expires)
		if again, err := s.LeaseQuota(ctx, ask); err != nil || again.Granted != 8 || !again.Expires.After(lease.Expires) {
			t.Fatalf("its answer got lost, and it has ended: %+v %v", again, err)
		}
		if _, err := s.LeaseQuota(ctx, usageapi.QuotaRequest{CustomerID: "cus_a", Name: usageapi.FreeCalls, Want: 1}); !fault.Is(err, fault.Invalid) {
			t.Errorf("a lease without a name: %v", err)
		}
	})
}

func TestAnAllowanceIsNeverLeasedBeyondItsLimit(t *testing.T) {
	each(t, func(t *testing.T, s usageapi.Service, r *room) {
		ctx := t.Context()
		var wait sync.WaitGroup
		grants := make(chan usageapi.QuotaLease, 20)
		for range 20 {
			wait.Go(func() {
				lease, err := s.LeaseQuota(ctx, request("gw_a", usageapi.FreeCalls, 50, 7))
				if err != nil {
					t.Error(err)
				}
				grants <- lease
			})
		}
		wait.Wait()
		close(grants)
		held := map[string]int64{}
		var sum int64
		for lease := range grants {
			if lease.Granted > 0 {
				held[lease.ID] = lease.Granted
			}
		}
		for _, granted := range held {
			sum += granted
		}
		if sum > 50 {
			t.Fatalf("%d of 50 were leased", sum)
		}
		if more, err := s.LeaseQuota(ctx, request("gw_a", usageapi.FreeCalls, 50, 7)); err != nil || sum == 50 && more.Granted != 0 {
			t.Fatalf("%+v %v", more, err)
		}
	})
}

func TestAllowancesCountWhatIsUsedAndComeBackWhenTheyExpire(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, r := newRoom(t, d)
		ctx := t.Context()
		lease, err := s.LeaseQuota(ctx, request("gw_a", usageapi.EndpointQuota+"Demo.Paid", 10, 8))
		if err != nil || lease.Granted != 8 {
			t.Fatalf("%+v %v", lease, err)
		}
		record(t, s, r.calls(0, 3, func(c *usageapi.Call) { c.Price, c.Quotas = 0, []string{lease.ID} }), 0)
		left := func(want int64) {
			t.Helper()
			if more, err := s.LeaseQuota(ctx, request("gw_a", usageapi.EndpointQuota+"Demo.Paid", 10, 100)); err != nil || more.Granted != want {
				t.Fatalf("granted %d, want %d (%v)", more.Granted, want, err)
			} else if more.ID != "" {
				if _, err := s.KeepQuota(ctx, map[string]int64{more.ID: 0}); err != nil {
					t.Fatal(err)
				}
			}
		}
		left(2)
		if _, err := s.KeepQuota(ctx, map[string]int64{lease.ID: 4}); err != nil {
			t.Fatal(err)
		}
		left(3)
		if _, err := s.KeepQuota(ctx, map[string]int64{lease.ID: 0}); err != nil {
			t.Fatal(err)
		}
		left(7)
		if _, err := s.LeaseQuota(ctx, request("gw_a", usageapi.EndpointQuota+"Demo.Paid", 10, 100)); err != nil {
			t.Fatal(err)
		}
		left(0)
		r.clock.set(r.clock.Now().Add(2 * time.Minute))
		left(7)
		r.clock.set(at("2026-04-01T00:00:00Z"))
		left(10)
	})
}

func TestWhatOthersCanDoWithoutOfAnAllowanceIsUsedUpFirst(t *testing.T) {
	each(t, func(t *testing.T, s usageapi.Service, r *room) {
		ctx := t.Context()
		first, err := s.LeaseQuota(ctx, request("gw_1", usageapi.FreeCalls, 100, 1000))
		if err != nil || first.Granted != 100 || first.Elsewhere {
			t.Fatalf("alone it is given all: %+v, %v", first, err)
		}
		var asked []string
		t.Cleanup(usageapi.NewHook(r.bus, "rep_1", "").OnQuotaRecall(func(ctx context.Context, customerID, name, holder string) error {
			asked = append(asked, customerID+" "+name+" "+holder)
			_, err := s.KeepQuota(ctx, map[string]int64{first.ID: 30}) // which calls in flight use
			return err
		}))
		second, err := s.LeaseQuota(ctx, request("gw_2", usageapi.FreeCalls, 100, 1000))
		if err != nil || second.Granted != 35 || !second.Elsewhere || len(asked) != 1 || asked[0] != "cus_a free gw_2" {
			t.Fatalf("half of what comes back is left to the others: %+v, %v, asked %q", second, err, asked)
		}
		for left := int64(35); left > 0; { // as the one who alone wants more
			more, err := s.LeaseQuota(ctx, request("gw_2", usageapi.FreeCalls, 100, 1000))
			if err != nil || more.Granted != left-left/2 {
				t.Fatalf("%+v, %v, with %d left", more, err, left)
			}
			left -= more.Granted
		}
		none, err := s.LeaseQuota(ctx, request("gw_2", usageapi.FreeCalls, 100, 1000))
		if err != nil || none.Granted != 0 || !none.Elsewhere || len(asked) < 2 {
			t.Fatalf("others hold it and cannot do without: %+v, %v, asked %q", none, err, asked)
		}
	})
}

func TestALeaseOfAnAllowanceEndsWithTheMonth(t *testing.T) {
	t.Parallel()
	s, r := newRoom(t, dbtest.SQLite(t))
	r.clock.set(at("2026-03-31T23:59:50Z"))
	lease, err := s.LeaseQuota(t.Context(), request("gw_a", usageapi.FreeCalls, 100, 10))
	if err != nil || !lease.Expires.Equal(at("2026-04-01T00:00:00Z")) {
		t.Fatalf("%+v %v", lease, err)
	}
}

func TestReadersSeeWhatTheGatewayHolds(t *testing.T) {
	each(t, func(t *testing.T, s usageapi.Service, r *room) {
		flushed := 0
		t.Cleanup(usageapi.NewHook(r.bus, "rep_test", "gateway").OnFlush(func(ctx context.Context, customerID string) error {
			flushed++
			_, err := s.Record(ctx, r.calls(flushed, 1, nil))
			return err
		}))
		if total, _, err := s.ReadMonthlyTotal(as(t, "cus_a"), "", false); err != nil || total != 1 {
			t.Fatalf("%d %v", total, err)
		}
	})
}

func TestReadersAreToldWhenTheGatewayCannotHandIn(t *testing.T) {
	t.Parallel()
	s, r := newRoom(t, dbtest.SQLite(t))
	t.Cleanup(usageapi.NewHook(r.bus, "rep_test", "gateway").OnFlush(func(context.Context, string) error { return fault.New(fault.Unavailable, "stuck") }))
	if _, _, err := s.Read(as(t, "cus_a"), "", false); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("got %v", err)
	}
}

func TestADeletedCustomersRecordsGoAndItsFenceStays(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, r := newRoom(t, d)
		ctx := t.Context()
		record(t, s, r.calls(0, 3, func(c *usageapi.Call) { c.Lease = "lse_1" }), 0)
		relay := r.outbox.Relay(r.bus, customersapi.Host)
		relay.Start()
		t.Cleanup(relay.Stop)
		err := d.Tx(ctx, func(tx *db.Tx) error {
			event := &customers.Event{Type: customers.EventType_EventTypeDeleted, Customer: &customers.Customer{Id: "cus_a"}}
			return r.outbox.Add(ctx, tx, customersapi.Host, customers.Topic, "cus_a", event)
		})
		if err != nil {
			t.Fatal(err)
		}
		r.outbox.Delivered(ctx, customersapi.Host, "cus_a")
		if total, _, err := s.ReadMonthlyTotal(as(t, "cus_a"), "", false); err != nil || total != 0 {
			t.Fatalf("%d calls are left, %v", total, err)
		}
		record(t, s, r.calls(5, 1, func(c *usageapi.Call) { c.Lease = "lse_1" }), 1)
		if total, err := s.CloseLease(ctx, "lse_1"); err != nil || total != 30 {
			t.Fatalf("what was charged is forgotten: %d, %v", total, err)
		}
	})
}
