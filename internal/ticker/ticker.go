// Package ticker runs the periodic jobs that services declare in service.yaml.
//
// A job with one replica runs under a lease, so that of several processes one
// runs it; a job for all replicas runs everywhere. An iteration that overruns its
// interval makes the missed beats be dropped. Only app runs tickers; services
// declare them.
package ticker

import (
	"context"
	"log/slog"
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
// with one replica.
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
		}
	}
}

// once runs one iteration if this replica may.
func (r *Runner) once(ctx context.Context, t Ticker) error {
	if t.Replicas != All {
		mine, err := r.lease.Acquire(ctx, "ticker:"+t.Name, 2*t.Interval+time.Second)
		if err != nil || !mine {
			return err
		}
	}
	return t.Run(ctx)
}
