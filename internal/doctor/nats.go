package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"m3o/internal/id"
)

// What NATS is used for, and what it must be able to.
const (
	subjects     = "m3o" // begins the subjects and the names of the streams of a system
	leastPayload = 64 << 10
	farAway      = 50 * time.Millisecond
)

// nats looks at the bus between processes.
func (e *examination) nats(ctx context.Context) {
	const part = "nats"
	if !e.split() {
		return
	}
	options, err := e.NATS.options()
	if err != nil {
		e.fail(part, "see that the file is there and that this user may read it", "%s", oneLine(err))
		return
	}
	refused := make(chan error, 1)
	options = append(options, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		select {
		case refused <- err:
		default:
		}
	}))
	c, err := nats.Connect(e.Bus, options...)
	if err != nil {
		e.fail(part, "look whether it runs, whether this machine reaches it, and at M3O_NATS_USER and its like", "%s cannot be used: %s", withoutPasswords(e.Bus), oneLine(err))
		return
	}
	defer c.Close()
	e.server(c)
	e.speaks(ctx, c, refused)
	e.jetstream(ctx, c)
	e.monitor(ctx)
}

func (n NATS) options() ([]nats.Option, error) {
	options := []nats.Option{nats.Name("m3o doctor"), nats.Timeout(5 * time.Second), nats.NoReconnect()}
	if n.User != "" {
		options = append(options, nats.UserInfo(n.User, n.Password))
	}
	if n.Token != "" {
		options = append(options, nats.Token(n.Token))
	}
	if n.NKeyFile != "" {
		option, err := nats.NkeyOptionFromSeed(n.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("the NKey seed in %s cannot be read: %w", n.NKeyFile, err)
		}
		options = append(options, option)
	}
	if n.CredsFile != "" {
		options = append(options, nats.UserCredentials(n.CredsFile))
	}
	if n.TLSCA != "" {
		options = append(options, nats.RootCAs(n.TLSCA))
	}
	if n.TLSCert != "" {
		options = append(options, nats.ClientCert(n.TLSCert, n.TLSKey))
	}
	return options, nil
}

// withoutPasswords are URLs to show, with commas between.
func withoutPasswords(text string) string {
	var all []string
	for one := range strings.SplitSeq(text, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil {
			return "its URL"
		}
		all = append(all, u.Redacted())
	}
	return strings.Join(all, ",")
}

func (e *examination) server(c *nats.Conn) {
	const part = "nats"
	e.ok(part, "NATS %s at %s", c.ConnectedServerVersion(), c.ConnectedUrlRedacted())
	if c.MaxPayload() < leastPayload {
		e.fail(part, "set max_payload of the server to 1MB, its default", "it takes messages of %d bytes at most", c.MaxPayload())
	}
	switch there, err := c.RTT(); {
	case err != nil:
		e.warn(part, "look at the server's load and at the network", "it does not answer a ping: %s", oneLine(err))
	case there > farAway:
		e.warn(part, "put it nearer to the processes: every call between services waits for it", "a message there and back takes %s", there.Round(time.Millisecond))
	}
}

// speaks sends a message to itself, as services do.
func (e *examination) speaks(ctx context.Context, c *nats.Conn, refused <-chan error) {
	const part = "nats"
	mend := "allow the user to publish and to subscribe to " + subjects + ".>, _INBOX.> and $JS.API.>"
	subject := subjects + ".doctor." + id.New("msg")
	sub, err := c.SubscribeSync(subject)
	if err == nil {
		defer func() { _ = sub.Unsubscribe() }()
		err = c.Publish(subject, []byte("hello"))
	}
	if err == nil {
		err = c.FlushWithContext(ctx)
	}
	if err == nil {
		_, err = sub.NextMsg(2 * time.Second)
	}
	select {
	case err = <-refused:
	default:
	}
	if err != nil {
		e.fail(part, mend, "a message to %s did not come back: %s", subject, oneLine(err))
		return
	}
	e.ok(part, "the user may publish and subscribe")
}

// jetstream looks at what keeps the facts between services.
func (e *examination) jetstream(ctx context.Context, c *nats.Conn) {
	const part = "jetstream"
	js, err := jetstream.New(c)
	if err != nil {
		e.fail(part, "look whether this connection may use it", "%s", oneLine(err))
		return
	}
	account, err := js.AccountInfo(ctx)
	if err != nil {
		e.fail(part, "turn it on in the server's configuration: jetstream { store_dir: /data, sync_interval: always }; and for the account", "it cannot be used: %s", oneLine(err))
		return
	}
	most := account.Limits.MaxStore
	switch {
	case most > 0 && account.Store*10 > uint64(most)*9:
		e.fail(part, "raise the account's limit, or see why events are not taken", "%d of %d MB of its store are used", account.Store>>20, most>>20)
	case most == 0:
		e.fail(part, "give the account a store: topics are kept in files", "the account may keep nothing in files")
	default:
		e.ok(part, "on, %d streams with %d MB in files", account.Streams, account.Store>>20)
	}
	e.streams(ctx, js)
}

// streams looks at what the topics are kept in.
func (e *examination) streams(ctx context.Context, js jetstream.JetStream) {
	const part = "jetstream"
	list := js.ListStreams(ctx)
	for s := range list.Info() {
		if !strings.HasPrefix(s.Config.Name, subjects) {
			continue
		}
		if s.Config.Storage != jetstream.FileStorage {
			e.fail(part, "stop the system, delete the stream and start again; the outbox publishes anew what is not taken", "the stream %s is kept in memory", s.Config.Name)
		}
		if s.Cluster != nil && s.Cluster.Leader == "" {
			e.fail(part, "bring the cluster's servers back: more than half must run", "the stream %s has no leader", s.Config.Name)
		}
	}
	if err := list.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		e.warn(part, "allow the user to publish to $JS.API.>", "the streams cannot be listed: %s", oneLine(err))
	}
}

// monitor asks the server what a client cannot see: whether it syncs before it acknowledges.
func (e *examination) monitor(ctx context.Context) {
	const part = "jetstream"
	const mend = "set sync_interval: always under jetstream in the server's configuration: by default a fact that was acknowledged may be gone after a power failure"
	if e.NATSMonitor == "" {
		e.ok(part, "whether it syncs before it acknowledges is not seen by clients: give --nats-monitor http://…:8222")
		return
	}
	var server struct {
		JetStream struct {
			Config struct {
				SyncAlways bool `json:"sync_always"`
			}
		}
	}
	if err := e.get(ctx, strings.TrimSuffix(e.NATSMonitor, "/")+"/varz", &server); err != nil {
		e.warn(part, "see that http_port is set in the server's configuration", "the monitoring of NATS cannot be read: %s", oneLine(err))
		return
	}
	if !server.JetStream.Config.SyncAlways {
		e.fail(part, mend, "it acknowledges before it syncs")
		return
	}
	e.ok(part, "it syncs before it acknowledges")
}

// get reads a JSON document.
func (e *examination) get(ctx context.Context, address string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := e.http.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
