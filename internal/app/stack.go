package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// stack is what has been started; it is stopped in reverse.
type stack struct{ steps []step }

type step struct {
	name string
	stop func(context.Context) error
}

func (s *stack) push(name string, stop func(context.Context) error) {
	s.steps = append(s.steps, step{name, stop})
}

// unwind stops everything, whatever fails on the way. Nothing is left for a
// second call.
func (s *stack) unwind(log *slog.Logger) error {
	var errs []error
	for len(s.steps) > 0 {
		last := s.steps[len(s.steps)-1]
		s.steps = s.steps[:len(s.steps)-1]
		log.Debug("stopping", "part", last.name)
		if err := last.stop(context.Background()); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", last.name, err))
		}
	}
	return errors.Join(errs...)
}
