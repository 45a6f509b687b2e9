package natsbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/id"
)

// Bus is one process's connection to the bus.
type Bus struct {
	config   Config
	subjects subjects
	id       string // of this process; another one after a restart
	log      *slog.Logger
	table    *bus.Memory // everybody's endpoints: ours as they are, those of others as elsewhere
	nc       *nats.Conn
	js       jetstream.JetStream
	piece    int // how many bytes of a body a message carries

	hearers   *hearers
	servings  *servings
	roster    *roster
	topics    *topics
	scratches scratches
	outgoing  post // answers

	calls    *nats.Subscription // requests of others
	handling sync.WaitGroup     // of them
	handled  atomic.Int32       // how many are at the moment
	work     chan work          // to who is idle
	idle     atomic.Int32       // how many are

	away struct {
		sync.Mutex
		since time.Time // zero: connected
	}
	closed  chan struct{}   // the connection is closed for good
	living  context.Context // from Open to Close; it has nothing of whoever opened the bus
	stop    context.CancelFunc
	running sync.WaitGroup
	closing sync.Once
}

var _ bus.Bus = (*Bus)(nil)

// Open connects and returns when this process knows who else is there. While NATS cannot be
// reached it tries again until ctx ends, or for half a minute when ctx has no end.
func Open(ctx context.Context, c Config) (*Bus, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, openLimit)
		defer cancel()
	}
	b := &Bus{config: c, subjects: subjects{c.Prefix}, id: id.New("prc"), closed: make(chan struct{}), work: make(chan work)}
	b.log = c.Logger.With("process", c.Name)
	b.table = bus.NewMemory(bus.MemoryConfig{Logger: b.log})
	b.hearers, b.servings = newHearers(b.subjects.answers(b.id)+"all"), newServings()
	b.roster, b.topics = newRoster(b), newTopics(b)
	if err := b.connect(ctx); err != nil {
		return nil, err
	}
	if err := b.begin(ctx); err != nil {
		b.nc.Close()
		return nil, err
	}
	return b, nil
}

// connect opens the connection, as often as it takes.
func (b *Bus) connect(ctx context.Context) error {
	options, err := b.config.options(b)
	if err != nil {
		return err
	}
	for {
		b.nc, err = nats.Connect(b.config.URL, options...)
		if err == nil {
			break
		}
		if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || !b.again(ctx, err) {
			return fmt.Errorf("connect to NATS at %s: %w", redacted(b.config.URL), err)
		}
	}
	b.piece = int(min(b.nc.MaxPayload()/2, 128<<10))
	b.js, err = jetstream.New(b.nc)
	if err == nil {
		err = b.findJetStream(ctx)
	}
	if err != nil {
		b.nc.Close()
		return fmt.Errorf("use JetStream of NATS at %s: %w", redacted(b.config.URL), err)
	}
	return nil
}

// findJetStream waits until JetStream answers: it may just be starting.
func (b *Bus) findJetStream(ctx context.Context) error {
	for {
		_, err := b.js.AccountInfo(ctx)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
			return fmt.Errorf("it is not enabled (start nats-server with --jetstream and --store_dir): %w", err)
		case !b.again(ctx, err):
			return err
		}
	}
}

// again tells of a try that has failed, and waits for the next; false says that ctx has ended.
func (b *Bus) again(ctx context.Context, err error) bool {
	b.config.Away(err)
	return pause(ctx, retryPause)
}

// begin subscribes and gets to know the others.
func (b *Bus) begin(ctx context.Context) (err error) {
	if _, err = b.listen(b.subjects.answers(b.id)+">", b.hearers.receive); err != nil {
		return err
	}
	if b.calls, err = b.listen(b.subjects.calls(b.id), b.onCall); err != nil {
		return err
	}
	b.living, b.stop = context.WithCancel(context.Background())
	if err := b.roster.join(ctx); err != nil {
		b.stop()
		b.nc.Close()
		b.running.Wait()
		return err
	}
	return nil
}

// listen subscribes without a limit: what may be on its way is bounded by the windows of
// the bodies.
func (b *Bus) listen(subject string, handle nats.MsgHandler) (*nats.Subscription, error) {
	s, err := b.nc.Subscribe(subject, handle)
	if err == nil {
		err = s.SetPendingLimits(-1, -1)
	}
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	return s, nil
}

// Serve implements bus.Bus. It panics when an endpoint could not be reached by anybody, and
// returns when all processes know of it, or after a second.
func (b *Bus) Serve(replica string, endpoints ...bus.Endpoint) (stop func()) {
	stopHere := b.table.Serve(replica, endpoints...)
	p := b.servings.add(replica, endpoints)
	b.roster.serve(p)
	return func() {
		idle := b.servings.shut(p)
		b.roster.stop(p)
		stopHere()
		<-idle
	}
}

// Handler implements bus.Bus.
func (b *Bus) Handler(host string) http.Handler { return b.table.Handler(host) }

// Multicast implements bus.Bus.
func (b *Bus) Multicast(r *http.Request) <-chan bus.Reply { return b.table.Multicast(r) }

// Ready is nil while the connection to NATS stands.
func (b *Bus) Ready() error {
	if b.nc.IsConnected() {
		return nil
	}
	return fault.New(fault.Unavailable, "this process is not connected to NATS at %s", redacted(b.config.URL))
}

// Disconnected is for how long the connection has been away; 0 while it stands. Whoever
// must hear of changes in time cannot rely on what it remembers from before.
func (b *Bus) Disconnected() time.Duration {
	b.away.Lock()
	defer b.away.Unlock()
	if b.away.since.IsZero() {
		return 0
	}
	return max(b.config.Now().Sub(b.away.since), 1)
}

// Drain lets the others send nothing more to this process and waits until what it serves
// for them is done, or until ctx ends. Its own calls go on.
func (b *Bus) Drain(ctx context.Context) error {
	for _, p := range b.servings.all() {
		idle := b.servings.shut(p)
		b.roster.stop(p)
		select {
		case <-idle:
		case <-ctx.Done():
			return fmt.Errorf("requests of other processes still run: %w", ctx.Err())
		}
	}
	return nil
}

// Close drains for ten seconds at most, tells the others and closes the connection. It may
// be called twice.
func (b *Bus) Close() error {
	b.closing.Do(func() {
		ctx, cancel := context.WithTimeout(b.living, drainLimit)
		defer cancel()
		if err := b.Drain(ctx); err != nil {
			b.log.Warn("the bus is closed while requests run", "error", err)
			b.servings.cancel("")
		}
		b.topics.close()
		b.drain(b.calls)
		b.handling.Wait() // also those who are told that nobody is here any more
		b.roster.leave()
		if b.nc.Drain() != nil { // it is not connected
			b.nc.Close()
		}
	})
	<-b.closed
	b.stop()
	b.running.Wait()
	return nil
}

// drain ends subscriptions when all that was sent to them has been taken; at once when
// nothing can come any more.
func (b *Bus) drain(subscriptions ...*nats.Subscription) {
	var draining sync.WaitGroup
	for _, s := range subscriptions {
		if !b.nc.IsConnected() {
			_ = s.Unsubscribe()
			continue
		}
		draining.Add(1)
		s.SetClosedHandler(func(string) { draining.Done() })
		if s.Drain() != nil { // it has ended with the connection
			s.SetClosedHandler(nil)
			draining.Done()
		}
	}
	draining.Wait()
}

// onDisconnect ends all calls to other processes: their answers will not come.
func (b *Bus) onDisconnect(_ *nats.Conn, err error) {
	b.away.Lock()
	b.away.since = b.config.Now()
	b.away.Unlock()
	if err != nil {
		b.log.Warn("the connection to NATS is lost", "error", err)
	}
	b.loseAll()
}

func (b *Bus) onReconnect(*nats.Conn) {
	b.away.Lock()
	away := b.config.Now().Sub(b.away.since)
	b.away.since = time.Time{}
	b.away.Unlock()
	b.log.Info("the connection to NATS is back", "after", away)
	b.roster.rejoin()
}

func (b *Bus) onError(_ *nats.Conn, s *nats.Subscription, err error) {
	subject := ""
	if s != nil {
		subject = s.Subject
	}
	b.log.Warn("NATS reports an error", "subject", subject, "error", err)
}

// unreachable is the fault of a request that could not be sent.
func (b *Bus) unreachable(err error) error {
	return fault.Wrap(fault.Unavailable, err, "this process is not connected to NATS; nothing was executed, and trying again may help")
}

// publish sends a packet; reply may be empty.
func (b *Bus) publish(subject, reply string, f *packet) error {
	s := b.scratches.take()
	defer b.scratches.leave(s)
	s.message = f.append(s.message[:0])
	if reply == "" {
		return b.nc.Publish(subject, s.message)
	}
	return b.nc.PublishRequest(subject, reply, s.message)
}

// loseAll ends all calls to other processes.
func (b *Bus) loseAll() {
	b.roster.sending.Lock()
	defer b.roster.sending.Unlock()
	for _, c := range b.callsTo(nil) {
		c.lose("the connection to NATS was lost")
	}
}

// pause waits for d; false says that ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
