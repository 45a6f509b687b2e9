package witness

import (
	"context"
	"fmt"
)

// OnDone says who it is and what it was told.
func (s *Service) OnDone(ctx context.Context, id string, n int) (by string, err error) {
	return fmt.Sprintf("%s %s %d", s.Replica().ID, id, n), nil
}
