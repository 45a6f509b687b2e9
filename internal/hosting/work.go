package hosting

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// work is what runs beside the services until the app stops.
type work struct {
	log     *slog.Logger
	mu      sync.Mutex // so that nothing begins once stopped is closed
	stopped chan struct{}
	running sync.WaitGroup
}

func newWork(log *slog.Logger) *work { return &work{log: log, stopped: make(chan struct{})} }

func (w *work) begin(ctx context.Context, f func(context.Context) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over() {
		return errors.New("the app is stopping")
	}
	w.running.Go(func() { w.run(ctx, f) })
	return nil
}

func (w *work) over() bool {
	select {
	case <-w.stopped:
		return true
	default:
		return false
	}
}

func (w *work) run(ctx context.Context, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w.running.Go(func() {
		select {
		case <-w.stopped:
			cancel()
		case <-ctx.Done():
		}
	})
	defer cancel()
	if err := guarded(ctx, w.log, "work beside", f); err != nil {
		w.log.ErrorContext(ctx, "work beside failed", "error", err)
	}
}

// stop ends the context of what runs and waits for it.
func (w *work) stop() {
	w.mu.Lock()
	if !w.over() {
		close(w.stopped)
	}
	w.mu.Unlock()
	w.running.Wait()
}

// Parallel runs all at the same time, waits for all, and returns the error that came
// first. A panic is an error, with its stack.
func Parallel(all ...func() error) error {
	var first error
	var once sync.Once
	var running sync.WaitGroup
	for _, f := range all {
		running.Go(func() {
			if err := recovered(f); err != nil {
				once.Do(func() { first = err })
			}
		})
	}
	running.Wait()
	return first
}

func recovered(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}

// guarded runs f; a panic is an error, whose stack is in the log.
func guarded(ctx context.Context, log *slog.Logger, what string, f func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			log.ErrorContext(ctx, "a service panicked", "doing", what, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f(ctx)
}

// grace is how long what has been told to end may take to do so.
const grace = time.Second

// within runs f for as long as the limit and ctx allow. It does not wait for an f that
// heeds neither.
func (a *App) within(ctx context.Context, limit time.Duration, what string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %s", limit))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- guarded(ctx, a.log, what, f) }()
	err := await(ctx, done)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// await is what comes from done, or ctx's error when nothing comes in time.
func await(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case err := <-done:
		return err
	case <-late.C:
		return ctx.Err()
	}
}
