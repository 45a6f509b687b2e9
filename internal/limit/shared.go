package limit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"m3o/internal/id"
)

// ErrAway is the error of Take when a call cannot be held to its limits: Redis cannot be
// asked, and this gateway may not or cannot judge alone.
var ErrAway = errors.New("the shared rate limits cannot be asked")

// Mode is how exact shared limits are.
type Mode string

// The modes.
const (
	Fast   Mode = "fast"   // within a hundredth of a second's worth, in memory
	Strict Mode = "strict" // exact; each call asks Redis
)

// WhenAway is what becomes of calls while Redis cannot be asked.
type WhenAway string

// What becomes of them.
const (
	Refuse WhenAway = "refuse" // ErrAway
	Local  WhenAway = "local"  // each gateway admits its share
)

// Config is what Shared is made of.
type Config struct {
	// URL of Redis: redis://user:password@host:port/database, rediss:// with TLS, unix://.
	URL string

	// Prefix of every key in Redis. Gateways that share limits have the same. Default: m3o:rate:
	Prefix string

	// Mode, WhenAway and Timeout are what to begin with; Use changes them. Default: Fast,
	// Refuse, a second.
	Mode     Mode
	WhenAway WhenAway
	Timeout  time.Duration // of a round trip

	Log *slog.Logger
	Now func() time.Time
}

const (
	defaultPrefix  = "m3o:rate:"
	defaultTimeout = time.Second
)

// Shared are limits that several gateways hold together. It is safe for concurrent use.
type Shared struct {
	client *redis.Client
	prefix string
	script string // the name of gcra
	name   string // of this gateway among those that share
	log    *slog.Logger
	now    func() time.Time

	strict  atomic.Bool
	local   atomic.Bool
	timeout atomic.Int64

	line       chan *ask
	away       atomic.Bool  // Redis did not answer the last time
	gateways   atomic.Int64 // that share, at the last count; 0: never counted
	lost       chan struct{}
	complained atomic.Int64 // the last time, in Unix nanoseconds

	ended chan struct{}
	end   context.CancelFunc
	tasks sync.WaitGroup
}

// Open opens the shared limits. A Redis that is away is no error: it is waited for in the
// background. Close ends it.
func Open(ctx context.Context, c Config) (*Shared, error) {
	options, err := redis.ParseURL(c.URL)
	if err != nil {
		return nil, fmt.Errorf("the URL of Redis: %w: write redis://host:port, or rediss:// for TLS", err)
	}
	tune(options)
	s := &Shared{
		client: redis.NewClient(options), prefix: cmp.Or(c.Prefix, defaultPrefix), script: redis.NewScript(gcra).Hash(), name: id.New("gw"), log: c.Log, now: c.Now,
		line: make(chan *ask, lineLength), lost: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	s.Use(cmp.Or(c.Mode, Fast), cmp.Or(c.WhenAway, Refuse), cmp.Or(c.Timeout, defaultTimeout))
	ctx, s.end = context.WithCancel(context.WithoutCancel(ctx))
	s.appear(ctx)
	for range askers {
		s.tasks.Go(func() { s.serve(ctx) })
	}
	s.tasks.Go(func() { s.stay(ctx) })
	return s, nil
}

// tune sets what matters to short questions that must not wait, or be put twice.
func tune(o *redis.Options) {
	logging.Disable() // whatever fails comes back as an error, which is logged here
	o.MaxRetries, o.DialerRetries = -1, 1
	o.ContextTimeoutEnabled, o.ReadTimeout, o.WriteTimeout = true, -1, -1
	// After PoolSize failed dials go-redis would dial once a second only; how many
	// connections there are, MaxActiveConns says.
	o.PoolSize, o.MaxActiveConns, o.PipelinePoolSize = 1024, askers+1, -1
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// Use changes how limits are held from the next call on.
func (s *Shared) Use(mode Mode, whenAway WhenAway, timeout time.Duration) {
	s.strict.Store(mode == Strict)
	s.local.Store(whenAway == Local)
	s.timeout.Store(int64(timeout))
}

// Ready says what is missing: nil when Redis answers.
func (s *Shared) Ready() error {
	if s.away.Load() {
		return errors.New("redis does not answer, so rate limits are not shared")
	}
	return nil
}

// Close takes this gateway out of those that share. Calls that still wait get ErrAway. It
// may be called twice.
func (s *Shared) Close() error {
	s.end()
	s.tasks.Wait()
	if err := s.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("close the connections to Redis: %w", err)
	}
	return nil
}

// Claim is a call's claim on a limit. A rate of 0 is no limit.
type Claim struct {
	Bucket *Bucket
	Rate   int // calls a second
}

// Take takes one call from both limits or from neither; first is the wider one. ErrAway
// when nobody can say whether it may be; otherwise the error is that of a context that
// has ended.
func (s *Shared) Take(ctx context.Context, now time.Time, first, second Claim) (Verdict, error) {
	claims := pair{first, second}
	if first.Rate <= 0 && second.Rate <= 0 {
		return Verdict{}, nil
	}
	at, strict := now.UnixNano(), s.strict.Load()
	if !strict {
		if v, known := s.spend(at, claims); known {
			return v, nil
		}
	}
	grants, err := s.ask(ctx, claims, 1)
	if errors.Is(err, ErrAway) {
		return s.alone(at, claims)
	}
	if err != nil {
		return Verdict{}, err
	}
	if !strict {
		claims.learn(at, grants)
	}
	return verdict(grants[0], grants[1]), nil
}

// Return gives back a call that was admitted within the last second. Where Redis is away
// it stays taken.
func (s *Shared) Return(ctx context.Context, first, second Claim) {
	if first.Rate > 0 || second.Rate > 0 {
		_, _ = s.ask(ctx, pair{first, second}, -1) // a limit that is a call too strict for a second
	}
}

// alone admits a call by this gateway's share of the limits, if that is wanted.
func (s *Shared) alone(now int64, claims pair) (Verdict, error) {
	gateways := int(s.gateways.Load())
	if !s.local.Load() || gateways == 0 {
		return Verdict{}, ErrAway
	}
	var unlimited [2]Pace
	paces, rates := [2]*Pace{&unlimited[0], &unlimited[1]}, [2]int{}
	claims.lock()
	defer claims.unlock()
	for i, c := range claims {
		if c.Rate > 0 {
			paces[i], rates[i] = &c.Bucket.pace, max(c.Rate/gateways, 1)
		}
	}
	return Admit(now, paces[0], rates[0], paces[1], rates[1]), nil
}

// pair are the claims of a call, the wider limit first. Their buckets are locked in this
// order.
type pair [2]Claim

func (p *pair) lock() {
	for _, c := range p {
		if c.Rate > 0 {
			c.Bucket.mu.Lock()
		}
	}
}

func (p *pair) unlock() {
	for _, c := range p {
		if c.Rate > 0 {
			c.Bucket.mu.Unlock()
		}
	}
}

// learn keeps what Redis has said of the limits.
func (p *pair) learn(now int64, grants [2]grant) {
	for i, c := range p {
		if c.Rate > 0 {
			c.Bucket.mu.Lock()
			c.Bucket.learn(now, grants[i])
			c.Bucket.mu.Unlock()
		}
	}
}
