package listener

import (
	"context"
	"fmt"
	"strings"
	"time"

	"m3o/internal/fault"
)

// OnDone says who it is and what it was told.
func (s *Service) OnDone(ctx context.Context, id string, n int) (by string, err error) {
	return fmt.Sprintf("%s %s %d", s.Replica().ID, id, n), nil
}

// OnOtherDone hears the source at another host.
func (s *Service) OnOtherDone(ctx context.Context, id string, n int) (by string, err error) {
	return "other " + id, nil
}

// OnPlain remembers what it was told.
func (s *Service) OnPlain(ctx context.Context, text string) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, text)
	return nil
}

// OnAsk answers politely, refuses what is no question, and waits for the end of its
// context when it is asked to.
func (s *Service) OnAsk(ctx context.Context, question string, at time.Time, tags []string) (answer string, at2 time.Time, err error) {
	switch {
	case question == "wait?":
		<-ctx.Done()
		return "", at, ctx.Err()
	case !strings.HasSuffix(question, "?"):
		return "", at, fault.BadField("question", "is none")
	}
	return "yes " + strings.Join(tags, ","), at.Add(time.Hour), nil
}

// OnPut adds up what it was told.
func (s *Service) OnPut(ctx context.Context, httpRequestBody map[string]int) (total int, err error) {
	for _, n := range httpRequestBody {
		total += n
	}
	return total, nil
}
