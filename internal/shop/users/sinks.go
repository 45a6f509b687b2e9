package users

import "context"

// OnRevoked forgets a token of a user, or all when none is named.
func (s *Service) OnRevoked(_ context.Context, userID string, tokenID string) error {
	s.known.forget(userID, tokenID)
	return nil
}
