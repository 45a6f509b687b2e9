// Package ticker runs the periodic jobs that services declare in service.yaml.
//
// A job with one replica runs under a lease, so that of several processes one
// runs it; a job for all replicas runs everywhere. Beats are counted from the start.
// An iteration that overruns its interval makes the missed beats be dropped: no job
// ever runs twice at once. Only hosting runs tickers; services declare them.
package ticker

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// Replicas says where a job runs.
type Replicas string

// The two ways to run a job.
const (
	One Replicas = "one" // on the one replica that holds the job's lease; the default
	All Replicas = "all" // on every replica
)

// Ticker is a periodic job.
type Ticker struct {
	Name     string // "<host>.<Name>", also the name of its lease
	Interval time.Duration
	Replicas Replicas
	Run      func(context.Context) error // its context ends when the process stops
}

// Lease decides which replica runs a job: Acquire takes or renews a lease for
// this process and says whether it has it.
type Lease interface {
	Acquire(ctx context.Context, name string, ttl time.Duration) (bool, error)
}

// Runner runs tickers from Start until Stop.
type Runner struct {
	lease Lease
	log   *slog.Logger
	mu    sync.Mutex
	stop  context.CancelFunc
	done  sync.WaitGroup
}

// NewRunner makes a runner; the lease is asked before each iteration of a job
// with one replica. Without a lease (nil), this replica is the only one.
func NewRunner(lease Lease, log *slog.Logger) *Runner { return &Runner{lease: lease, log: log} }

// Start runs the tickers until Stop; their first iteration comes after one
// interval. It may be called once.
func (r *Runner) Start(ctx context.Context, tickers []Ticker) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx, r.stop = context.WithCancel(ctx)
	for _, t := range tickers {
		r.done.Go(func() { r.run(ctx, t) })
	}
}

// Stop ends the jobs' context and waits for the running iterations. It may be
// called twice, or before Start.
func (r *Runner) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop != nil {
		r.stop()
	}
	r.done.Wait()
}

func (r *Runner) run(ctx context.Context, t Ticker) {
	beat := time.NewTicker(t.Interval)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			if err := r.once(ctx, t); err != nil && ctx.Err() == nil {
				r.log.Error("ticker failed", "ticker", t.Name, "error", err)
			}
			drop(beat.C)
		}
	}
}

// drop forgets the beat that came meanwhile, which would make the next iteration
// begin between two beats.
func drop(beats <-chan time.Time) {
	select {
	case <-beats:
	default:
	}
}

// once runs one iteration if this replica may.
func (r *Runner) once(ctx context.Context, t Ticker) error {
	if t.Replicas == All || r.lease == nil {
		return r.call(ctx, t)
	}
	mine, err := r.acquire(ctx, t)
	if err != nil || !mine {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() { r.keep(ctx, cancel, t) })
	defer keeping.Wait()
	defer cancel()
	return r.call(ctx, t)
}

// call is one iteration; a panic is an error of it.
func (r *Runner) call(ctx context.Context, t Ticker) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.log.ErrorContext(ctx, "ticker panicked", "ticker", t.Name, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("ticker panicked: %v", p)
		}
	}()
	return t.Run(ctx)
}

// keep prolongs the lease of an iteration that runs, and ends one that has lost it:
// another replica has taken over.
func (r *Runner) keep(ctx context.Context, end func(), t Ticker) {
	renew := time.NewTicker(term(t) / 3)
	defer renew.Stop()
	for failures := 0; failures < 2; {
		select {
		case <-ctx.Done():
			return
		case <-renew.C:
		}
		switch mine, err := r.acquire(ctx, t); {
		case err != nil:
			failures++
		case mine:
			failures = 0
		default:
			failures = 2
		}
	}
	r.log.WarnContext(ctx, "ticker has lost its lease and ends", "ticker", t.Name)
	end()
}

// term is how long a job's lease lasts: long enough that the replica which has it
// keeps it from beat to beat.
func term(t Ticker) time.Duration { return 2*t.Interval + time.Second }

func (r *Runner) acquire(ctx context.Context, t Ticker) (bool, error) {
	return r.lease.Acquire(ctx, "ticker:"+t.Name, term(t))
}
