package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"m3o/internal/bus"
	natsbus "m3o/internal/bus/nats"
	"m3o/internal/bus/outbox"
	"m3o/internal/db"
	"m3o/internal/helloworld"
	"m3o/internal/helloworld/helloworldapi"
	"m3o/internal/id"
	"m3o/migrations"
	"m3o/pkg/events/proto/customers"
)

// bench is a caller and a service, each with a connection of its own, in both ways.
type bench struct {
	prefix         string
	asker, replier *nats.Conn
	caller, home   *natsbus.Bus
	client         helloworldapi.Client
	stop           func()
}

func newBench(ctx context.Context, url, prefix string) (b *bench, err error) {
	b = &bench{prefix: prefix, stop: func() {}}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.asker, err = nats.Connect(url); err != nil {
		return nil, err
	}
	if b.replier, err = nats.Connect(url); err != nil {
		return nil, err
	}
	_, err = b.replier.Subscribe(prefix+".raw", func(m *nats.Msg) { _ = m.Respond([]byte(`{"message":"Hello John"}`)) })
	if err != nil {
		return nil, err
	}
	if err = b.replier.Flush(); err != nil {
		return nil, err
	}
	config := natsbus.Config{URL: url, Prefix: prefix, Logger: discard()}
	if b.caller, err = natsbus.Open(ctx, config); err != nil {
		return nil, err
	}
	if b.home, err = natsbus.Open(ctx, config); err != nil {
		return nil, err
	}
	s, err := helloworld.New(helloworld.Deps{})
	if err != nil {
		return nil, err
	}
	stopService := s.Register(b.home)
	stopPlain := b.home.Serve(id.New("rep"), bus.Endpoint{Host: plainHost, Port: 443, Method: bus.Any, Path: "/", Queue: plainHost, Handler: http.HandlerFunc(greet)})
	b.stop = func() {
		stopPlain()
		stopService()
	}
	b.client = helloworldapi.NewClient(b.caller)
	return b, nil
}

func (b *bench) close() {
	b.stop()
	for _, one := range []*natsbus.Bus{b.home, b.caller} {
		if one != nil {
			_ = one.Close()
		}
	}
	if b.asker != nil {
		_ = b.clean() // a server of its own goes with its folder
	}
	for _, one := range []*nats.Conn{b.asker, b.replier} {
		if one != nil {
			one.Close()
		}
	}
}

// clean takes the topic's stream from a server that others use.
func (b *bench) clean() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	js, err := jetstream.New(b.asker)
	if err != nil {
		return err
	}
	return js.DeleteStream(ctx, b.prefix+"-topic-"+customers.Topic)
}

// raw asks by nats.go and nothing else.
func (b *bench) raw(ctx context.Context) error {
	_, err := b.asker.RequestWithContext(ctx, b.prefix+".raw", []byte(hello))
	return err
}

// typed is a call of a generated client.
func (b *bench) typed(ctx context.Context) error {
	_, err := b.client.Call(ctx, "John")
	return err
}

// hello is the body of every request.
const hello = `{"name":"John"}`

// plainHost is served by a handler that has no contract.
const plainHost = "plain.test"

func greet(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, `{"message":"Hello John"}`)
}

// request is a request over the bus without a contract, so nothing is made of JSON or read from it.
func (b *bench) request(ctx context.Context) error {
	r := &http.Request{
		Method: http.MethodPost, URL: &url.URL{Scheme: "https", Host: plainHost, Path: "/"}, Host: plainHost, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(hello)), ContentLength: int64(len(hello)),
	}
	w := answer{header: http.Header{}}
	if b.caller.Handler(plainHost).ServeHTTP(&w, r.WithContext(ctx)); w.status != http.StatusOK {
		return fmt.Errorf("%d %s", w.status, &w.body)
	}
	return nil
}

// answer keeps an answer in memory. httptest's recorder makes a second one of each, with a copy of its header, and
// would be an eighth of what is measured.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *answer) Header() http.Header         { return w.header }
func (w *answer) WriteHeader(status int)      { w.status = status }
func (w *answer) Write(b []byte) (int, error) { return w.body.Write(b) }

// speed is how fast a way of asking was in one round.
type speed struct {
	rate      float64       // calls a second
	processor time.Duration // of this process, a call: of the caller, the service and a server of its own
}

// measure asks for as long as span with so many callers.
func measure(ctx context.Context, callers int, span time.Duration, ask func(context.Context) error) (s speed, err error) {
	var calls atomic.Int64
	ctx, cancel := context.WithTimeout(ctx, span+10*time.Second)
	defer cancel()
	errs := make([]error, callers)
	used, began := processor(), time.Now()
	var running sync.WaitGroup
	for i := range callers {
		running.Go(func() {
			for errs[i] == nil && time.Since(began) < span {
				errs[i] = ask(ctx)
				calls.Add(1)
			}
		})
	}
	running.Wait()
	s.rate = float64(calls.Load()) / time.Since(began).Seconds()
	s.processor = (processor() - used) / time.Duration(max(calls.Load(), 1))
	return s, errors.Join(errs...)
}

// processor is what this process has used, in user and system time.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it can only fail on an argument that is none
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// relay adds events to the outbox of a SQLite file and returns how many a second a relay publishes for one group, and
// how many a second that group takes afterwards.
func (b *bench) relay(ctx context.Context, path string, facts int) (published, taken float64, err error) {
	d, err := db.Open(ctx, db.Config{Path: path})
	if err != nil {
		return 0, 0, err
	}
	defer d.Close()
	if err := db.Migrate(ctx, d, migrations.FS); err != nil {
		return 0, 0, err
	}
	box := outbox.New(d, time.Now, discard())
	if err := fill(ctx, d, box, facts); err != nil {
		return 0, 0, err
	}
	var arrived atomic.Int64
	take := func(context.Context, bus.Event) error { arrived.Add(1); return nil }
	b.home.Subscribe(customers.Topic, "bench", take)() // the group is there, and nobody of it
	relay := box.Relay(b.caller, "customers")
	defer relay.Stop()
	published, err = pace(facts, relay.Start, func() (left int, err error) {
		return left, d.QueryRow(ctx, `SELECT COUNT(*) FROM outbox WHERE published_at IS NULL`).Scan(&left)
	})
	if err != nil {
		return 0, 0, fmt.Errorf("publish: %w", err)
	}
	stop := func() {}
	taken, err = pace(facts, func() { stop = b.home.Subscribe(customers.Topic, "bench", take) }, func() (left int, err error) {
		return facts - int(arrived.Load()), nil
	})
	stop()
	return published, taken, err
}

// pace begins something and returns how many a second were done when none is left.
func pace(n int, begin func(), left func() (int, error)) (float64, error) {
	began := time.Now()
	begin()
	for {
		switch open, err := left(); {
		case err != nil:
			return 0, err
		case open <= 0:
			return float64(n) / time.Since(began).Seconds(), nil
		case time.Since(began) > 5*time.Minute:
			return 0, fmt.Errorf("%d of %d are not done", open, n)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// fill adds events about a thousand customers.
func fill(ctx context.Context, d *db.DB, box *outbox.Outbox, facts int) error {
	for done := 0; done < facts; {
		n := min(1000, facts-done)
		err := d.Tx(ctx, func(tx *db.Tx) error {
			for i := range n {
				key := "cus_" + strconv.Itoa(i)
				event := &customers.Event{Type: customers.EventType_EventTypeCreated, Customer: &customers.Customer{Id: key}}
				if err := box.Add(ctx, tx, "customers", customers.Topic, key, event); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		done += n
	}
	return nil
}
