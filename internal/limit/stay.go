package limit

import (
	"context"
	_ "embed" // the script
	"errors"
	"time"
)

// gateways is the script that counts those who share.
//
//go:embed gateways.lua
var gateways string

// How a gateway says that it is there.
const (
	stayEvery  = time.Second
	probeEvery = 100 * time.Millisecond // while Redis is away
	goneAfter  = 10                     // seconds after which one that has not said so is not counted
)

// stay keeps this gateway among those that share, finds out when Redis is back, and takes
// its leave at the end.
func (s *Shared) stay(ctx context.Context) {
	timer := time.NewTimer(stayEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			s.leave(ctx)
			return
		case <-s.lost:
		case <-timer.C:
		}
		s.appear(ctx)
		if s.away.Load() {
			timer.Reset(probeEvery)
		} else {
			timer.Reset(stayEvery)
		}
	}
}

// appear says that this gateway is there and counts those who are.
func (s *Shared) appear(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.timeout.Load()))
	defer cancel()
	count, err := s.count(ctx)
	if isDead(ctx, err) {
		count, err = s.count(ctx)
	}
	if err != nil {
		s.lose(ctx, err)
		return
	}
	s.gateways.Store(max(count, 1))
	if s.away.CompareAndSwap(true, false) {
		s.log.InfoContext(ctx, "Redis answers, rate limits are shared", "gateways", count)
	}
}

func (s *Shared) count(ctx context.Context) (int64, error) {
	return s.client.Eval(ctx, gateways, []string{s.prefix + "gateways"}, s.name, goneAfter).Int64()
}

// lose notes that Redis cannot be asked: from now on nobody waits for it.
func (s *Shared) lose(ctx context.Context, err error) {
	if errors.Is(ctx.Err(), context.Canceled) || !s.away.CompareAndSwap(false, true) { // we end, or it is known
		return
	}
	s.log.ErrorContext(ctx, "Redis does not answer, rate limits cannot be shared", "error", err)
	select {
	case s.lost <- struct{}{}:
	default: // it is being looked at
	}
}

// leave makes the others stop counting this gateway.
func (s *Shared) leave(ctx context.Context) {
	s.away.Store(true)
	close(s.ended)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(s.timeout.Load()))
	defer cancel()
	if err := s.client.ZRem(ctx, s.prefix+"gateways", s.name).Err(); err != nil {
		s.log.WarnContext(ctx, "the other gateways count this one for some more seconds", "error", err)
	}
}
