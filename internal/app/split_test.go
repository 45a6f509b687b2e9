package app_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"m3o/internal/app"
	"m3o/internal/app/apptest"
	"m3o/internal/bus"
	"m3o/internal/bus/nats/natstest"
	"m3o/internal/db/dbtest"
)

// split is a house in several processes.
type split struct {
	t        *testing.T
	all      []*apptest.System
	gateways []*apptest.System
}

// topologies are the ways to divide the services among processes.
func topologies(t *testing.T) map[string][]string {
	t.Helper()
	wirings, err := app.Wirings()
	if err != nil {
		t.Fatal(err)
	}
	var each, rest []string
	for _, w := range wirings {
		each = append(each, w.Host)
		if w.Host != "gateway" {
			rest = append(rest, w.Host)
		}
	}
	return map[string][]string{
		"One":               {"all"},
		"TwoGatewaysAndAll": {"gateway", "gateway", strings.Join(rest, ",")},
		"EachAlone":         each,
		"TwoOfEach":         {"all", "all"},
	}
}

// transports are the ways in which the processes of a test reach each other.
func transports() map[string]func(*testing.T) apptest.Option {
	return map[string]func(*testing.T) apptest.Option{
		"Memory": func(*testing.T) apptest.Option { return apptest.Over(apptest.NewShared()) },
		"NATS":   func(t *testing.T) apptest.Option { return apptest.NATS(natstest.Start(t).URL) },
	}
}

// everyTopology runs a test on each topology and transport, over one database.
func everyTopology(t *testing.T, test func(t *testing.T, s *split)) {
	t.Helper()
	t.Parallel()
	for topology, lists := range topologies(t) {
		for transport, over := range transports() {
			if transport == "NATS" && !strings.Contains(topology, "Gateways") && topology != "EachAlone" {
				continue // it says nothing that these two do not
			}
			t.Run(topology+"/"+transport, func(t *testing.T) {
				t.Parallel()
				test(t, startSplit(t, lists, over(t)))
			})
		}
	}
}

func startSplit(t *testing.T, lists []string, options ...apptest.Option) *split {
	t.Helper()
	url := dbtest.Config(t, dbtest.Postgres(t)).URL
	s := &split{t: t}
	s.all = apptest.StartSplit(t, lists, func(int) []apptest.Option {
		return append([]apptest.Option{apptest.Postgres(url)}, options...)
	})
	for i, list := range lists {
		if list == "all" || slices.Contains(strings.Split(list, ","), "gateway") {
			s.gateways = append(s.gateways, s.all[i])
		}
	}
	t.Cleanup(func() { // before the others are: they give back what they hold
		for _, one := range s.gateways {
			one.Stop()
		}
	})
	return s
}

// gateway is one of the gateways, of each in turn.
func (s *split) gateway(i int) *apptest.System { return s.gateways[i%len(s.gateways)] }

func TestTheJourneyIsTheSameHoweverTheHouseIsDivided(t *testing.T) {
	everyTopology(t, func(t *testing.T, s *split) {
		first := s.gateway(0)
		jane := first.SignUp("jane@example.com")
		key, keyID := first.Key(jane.Token)
		before := first.Balance(jane.Token)
		ids := map[string]bool{}
		var spent int64
		for i := range 6 {
			answer := s.gateway(i).Call(key, "helloworld/call", map[string]string{"name": "Jane"})
			if answer.Status != 200 || string(bytes.TrimSpace(answer.Body)) != `{"message":"Hello Jane"}` {
				t.Fatalf("%d %s", answer.Status, answer.Body)
			}
			price, err := strconv.ParseInt(answer.Header.Get("M3O-Price"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			spent += price
			ids[answer.Header.Get("M3O-Request-Id")] = true
			if got := s.gateway(i + 1).Balance(jane.Token); got != before-spent {
				t.Errorf("after %d calls the balance is %d, not %d", i+1, got, before-spent)
			}
		}
		for _, id := range s.gateway(1).Recorded(jane.Token) {
			if !ids[id] {
				t.Errorf("recorded %s, which was not answered", id)
			}
			delete(ids, id)
		}
		if len(ids) > 0 {
			t.Errorf("not recorded: %v", ids)
		}
		s.gateway(1).Must("/v1/api/keys/revoke", jane.Token, map[string]string{"id": keyID}, nil)
		for i := range s.gateways {
			if a := s.gateway(i).Call(key, "helloworld/call", map[string]string{}); a.Status != 401 {
				t.Errorf("gateway %d: %d %s", i, a.Status, a.Body)
			}
		}
	})
}

// What the last money of a customer pays for is served, whichever gateway is asked, and
// nothing else is.
func TestTheLastAffordableCallIsServedByWhomeverItReaches(t *testing.T) {
	everyTopology(t, func(t *testing.T, s *split) {
		first := s.gateway(0)
		jane := first.SignUp("jane@example.com")
		key, _ := first.Key(jane.Token)
		const calls = 70 // more than reach one gateway
		admin := first.AdminToken()
		first.Must("/balance/decrement", admin, map[string]any{
			"customer_id": jane.CustomerID, "delta": first.Balance(jane.Token) - 10*calls, "reference": "test", "idempotency_key": "less",
		}, nil)
		served, refused := s.crowd(key, 402)
		if served != calls || refused != 96-calls {
			t.Errorf("%d calls were served and %d refused; there was money for %d", served, refused, calls)
		}
		s.reconciled(jane, served)
	})
}

// crowd makes 96 calls, eight at a time, of every gateway in turn, and counts those that
// were served and those that were refused with a status. No other is allowed.
func (s *split) crowd(key string, refusal int) (served, refused int64) {
	s.t.Helper()
	var good, bad atomic.Int64
	var all sync.WaitGroup
	for caller := range 8 {
		all.Go(func() {
			for i := range 12 {
				switch a := s.gateway(caller+i).Call(key, "helloworld/call", map[string]string{"name": "Jane"}); a.Status {
				case 200:
					good.Add(1)
				case refusal:
					bad.Add(1)
				default:
					s.t.Errorf("%d %s", a.Status, a.Body)
				}
			}
		})
	}
	all.Wait()
	return good.Load(), bad.Load()
}

// reconciled wants as many calls recorded and charged as were answered, and the ledger
// at zero.
func (s *split) reconciled(who apptest.Session, served int64) {
	s.t.Helper()
	last := s.gateway(len(s.gateways) - 1)
	if got := int64(len(last.Recorded(who.Token))); got != served {
		s.t.Errorf("%d calls are recorded, %d were answered", got, served)
	}
	if got := last.Balance(who.Token); got != 0 {
		s.t.Errorf("the balance is %d", got)
	}
	last.Await("every charge posted", func() bool {
		var list struct {
			Entries []struct {
				Amount int64 `json:"amount"`
			}
		}
		last.Must("/balance/list-entries", who.Token, map[string]any{"limit": 1000}, &list)
		sum := int64(0)
		for _, e := range list.Entries {
			sum += e.Amount
		}
		return len(list.Entries) > 0 && sum == 0
	})
}

// The cap of a tier is the same for all gateways together, and none of it is left over in
// one of them while another refuses.
func TestACapIsOneForAllGateways(t *testing.T) {
	t.Parallel()
	const most = 70 // of 96 calls, more than reach one gateway
	tiers := fmt.Sprintf(`{"free":{"price":0,"free_calls":0,"rate":1000,"caps":{"Helloworld.Call":%d}}}`, most)
	s := startSplit(t, []string{"all", "all"}, apptest.Over(apptest.NewShared()), apptest.Set("billing", "Tiers", tiers))
	jane := s.gateway(0).SignUp("jane@example.com")
	key, _ := s.gateway(0).Key(jane.Token)
	if served, refused := s.crowd(key, 403); served != most || refused != 96-most {
		t.Errorf("%d calls were served and %d refused; the cap is %d", served, refused, most)
	}
	if got := len(s.gateway(1).Recorded(jane.Token)); got != most {
		t.Errorf("%d calls are recorded", got)
	}
}

func TestOneOfSeveralMakesTheFirstCustomers(t *testing.T) {
	t.Parallel()
	s := startSplit(t, []string{"all", "all", "all"}, apptest.Over(apptest.NewShared()), apptest.Demo())
	told := 0
	for _, one := range s.all {
		if strings.Contains(one.Printed, "Admin") || strings.Contains(one.Printed, "Demo") {
			told++
		}
	}
	var list struct{ Customers []struct{ Email string } }
	s.gateway(0).Must("/customers/list", s.gateway(1).AdminToken(), map[string]any{}, &list)
	if told != 1 || len(list.Customers) != 2 {
		t.Errorf("%d processes have told of first customers, which are %v", told, list.Customers)
	}
}

func TestTheDataMayBeInTheFileOfOneProcess(t *testing.T) {
	t.Parallel()
	bus := apptest.NewShared()
	rest := topologies(t)["TwoGatewaysAndAll"][2]
	all := apptest.StartSplit(t, []string{"gateway", rest}, func(int) []apptest.Option { return []apptest.Option{apptest.Over(bus)} })
	t.Cleanup(all[0].Stop)
	s := &split{t: t, all: all, gateways: all[:1]}
	jane := s.gateway(0).SignUp("jane@example.com")
	key, _ := s.gateway(0).Key(jane.Token)
	if a := s.gateway(0).Call(key, "helloworld/call", map[string]string{}); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := all[1].Do("GET", "/v1/helloworld/call", key, nil); a.Status != 404 || !strings.Contains(string(a.Body), "ask one that does") {
		t.Errorf("a process without a gateway answers %d %s", a.Status, a.Body)
	}
	_, err := app.Start(t.Context(), app.Config{
		Listen: "127.0.0.1:0", Data: t.TempDir(), Transport: bus, Secret: secret, Patience: 200 * time.Millisecond,
		Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err == nil || !strings.Contains(err.Error(), "another process on this bus serves") || !strings.Contains(err.Error(), "--db postgres://") {
		t.Errorf("a second file: %v", err)
	}
}

func TestAProcessWaitsForThoseItNeedsAndNamesThem(t *testing.T) {
	t.Parallel()
	var log slow
	_, err := app.Start(t.Context(), app.Config{
		Listen: "127.0.0.1:0", Data: t.TempDir(), DB: dbtest.Config(t, dbtest.Postgres(t)).URL, Services: []string{"keys"},
		Transport: apptest.NewShared(), Secret: secret, Patience: 300 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(&log, nil)), Now: time.Now,
	})
	if err == nil || !strings.Contains(err.Error(), "nobody has served") || !strings.Contains(err.Error(), "customers, publicapi") {
		t.Errorf("it started, or says: %v", err)
	}
	if !strings.Contains(log.String(), `msg="waiting for services of other processes" process=`) {
		t.Errorf("logged %s", &log)
	}
}

func TestReadinessNamesTheServiceThatIsMissing(t *testing.T) {
	t.Parallel()
	rest := strings.ReplaceAll(topologies(t)["TwoGatewaysAndAll"][2], ",publicapi", "")
	s := startSplit(t, []string{"gateway", rest, "publicapi"}, apptest.Over(apptest.NewShared()))
	door := s.gateway(0)
	if a := door.Do("GET", "/readyz", "", nil); a.Status != 200 || !strings.Contains(string(a.Body), `"publicapi":"ready"`) || !strings.Contains(string(a.Body), `"bus":"ready"`) {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	s.all[2].Stop()
	if a := door.Do("GET", "/readyz", "", nil); a.Status != 503 || !strings.Contains(string(a.Body), `"publicapi":"not ready"`) || !strings.Contains(string(a.Body), `"customers":"ready"`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := door.Do("GET", "/publicapi/list", "", nil); a.Status != 503 {
		t.Errorf("a service that is away: %d %s", a.Status, a.Body)
	}
	if a := door.Do("GET", "/metrics", "", nil); !strings.Contains(string(a.Body), `m3o_process_info{process="`) || !strings.Contains(string(a.Body), `services="gateway"`) {
		t.Error("the metrics do not say which process this is")
	}
}

func TestEachProcessTellsWhatWaitsInItsOwnOutbox(t *testing.T) {
	t.Parallel()
	s := startSplit(t, []string{"gateway", "all,-gateway,-usage", "usage"}, apptest.Over(apptest.NewShared()))
	for i, want := range []struct{ has, hasNot []string }{
		{nil, []string{"m3o_outbox_", "m3o_dead_letters"}},
		{[]string{`m3o_outbox_waiting{source="keys"}`, `m3o_outbox_oldest_seconds{source="keys"}`, `m3o_dead_letters{group="balance"} 0`}, []string{`{source="usage"}`, `{group="usage"}`}},
		{[]string{`m3o_outbox_waiting{source="usage"}`, `m3o_dead_letters{group="usage"} 0`}, []string{`{source="keys"}`, `{group="balance"}`}},
	} {
		metrics := string(s.all[i].Do("GET", "/metrics", "", nil).Body)
		for _, text := range want.has {
			if !strings.Contains(metrics, "\n"+text) {
				t.Errorf("process %d does not tell %s", i, text)
			}
		}
		for _, text := range want.hasNot {
			if strings.Contains(metrics, text) {
				t.Errorf("process %d tells %s", i, text)
			}
		}
	}
}

func TestAGatewayThatIsCutOffRefusesAndComesBackByItself(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	link := natstest.NewLink(t, server.URL)
	url := dbtest.Config(t, dbtest.Postgres(t)).URL
	all := apptest.StartSplit(t, []string{"gateway", "all"}, func(i int) []apptest.Option {
		way := server.URL
		if i == 0 {
			way = link.URL
		}
		return []apptest.Option{apptest.Postgres(url), apptest.NATS(way), apptest.Set("gateway", "CutOff", "1s")}
	})
	far, near := all[0], all[1]
	t.Cleanup(far.Stop)
	jane := near.SignUp("jane@example.com")
	kept, _ := near.Key(jane.Token)
	revoked, revokedID := near.Key(jane.Token)
	status := func(key string) int { return far.Call(key, "helloworld/call", map[string]string{}).Status }
	far.Await("the calls of the far gateway", func() bool { return status(kept) == 200 && status(revoked) == 200 })
	link.Cut()
	near.Must("/v1/api/keys/revoke", jane.Token, map[string]string{"id": revokedID}, nil)
	far.Await("the far gateway to believe nothing any more", func() bool {
		return far.Call(kept, "nowhere/call", map[string]string{}).Status == 503 // which is 404 as long as it does
	})
	link.Mend()
	far.Await("the far gateway to serve again", func() bool {
		if s := status(revoked); s != 503 && s != 401 {
			t.Fatalf("a revoked key was answered %d", s)
		}
		return status(kept) == 200 && status(revoked) == 401
	})
}

// deaf is a bus on which a process hears no events.
type deaf struct{ apptest.Shared }

func (d deaf) Serve(replica string, endpoints ...bus.Endpoint) (stop func()) {
	return d.Shared.Serve(replica, slices.DeleteFunc(slices.Clone(endpoints), func(e bus.Endpoint) bool { return e.Port == 417 })...)
}

// Nothing that a gateway remembers depends on an event to be forgotten.
func TestEveryChangeReachesAGatewayThatHearsNothing(t *testing.T) {
	t.Parallel()
	shared := apptest.NewShared()
	rest := topologies(t)["TwoGatewaysAndAll"][2]
	all := apptest.StartSplit(t, []string{"gateway", "gateway", rest}, func(i int) []apptest.Option {
		if i == 0 {
			return []apptest.Option{apptest.Over(deaf{shared})}
		}
		return []apptest.Option{apptest.Over(shared)}
	})
	far, near := all[0], all[1]
	t.Cleanup(far.Stop)
	t.Cleanup(near.Stop)
	jane := near.SignUp("jane@example.com")
	key, keyID := near.Key(jane.Token)
	admin := near.AdminToken()
	api := map[string]any{"name": "helloworld", "pricing": map[string]string{"Helloworld.Call": "7"}}
	for _, change := range []struct {
		path   string
		token  string
		body   any
		status int    // of a call after it
		price  string // of one that is served
	}{
		{"/publicapi/update", admin, map[string]any{"api": api}, 200, "7"},
		{"/v1/block-key", admin, map[string]string{"user_id": jane.CustomerID}, 403, ""},
		{"/v1/unblock-key", admin, map[string]string{"user_id": jane.CustomerID}, 200, "7"},
		{"/customers/ban", admin, map[string]string{"id": jane.CustomerID}, 403, ""},
		{"/customers/unban", admin, map[string]string{"id": jane.CustomerID}, 200, "7"},
		{"/configurator/set", admin, map[string]string{"host": "billing", "property": "Tiers",
			"value": `{"free":{"price":0,"free_calls":0,"rate":1000,"caps":{}},"none":{"price":0,"free_calls":0,"rate":1000,"caps":{"Helloworld.Call":0}}}`}, 200, "7"},
		{"/billing/subscribe-tier", admin, map[string]string{"id": "none", "customer_id": jane.CustomerID}, 403, ""},
		{"/billing/subscribe-tier", admin, map[string]string{"id": "free", "customer_id": jane.CustomerID}, 200, "7"},
		{"/publicapi/remove", admin, map[string]string{"name": "helloworld"}, 404, ""},
		{"/v1/api/keys/revoke", "", map[string]string{"id": keyID}, 401, ""},
	} {
		token := change.token
		if token == "" {
			token = near.Login(jane.Email, apptest.Password).Token
		}
		near.Must(change.path, token, change.body, nil)
		far.Await(change.path, func() bool {
			a := far.Call(key, "helloworld/call", map[string]string{})
			return a.Status == change.status && a.Header.Get("M3O-Price") == change.price
		})
	}
}
