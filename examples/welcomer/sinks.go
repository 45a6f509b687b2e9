package welcomer

import "context"

// OnRegistered welcomes somebody.
func (s *Service) OnRegistered(ctx context.Context, email string) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	s.latest = "Welcome, " + email
	return nil
}
