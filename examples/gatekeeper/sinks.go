package gatekeeper

import (
	"context"
	"strings"
)

// OnAllowRegistration turns an address of a banned domain away.
func (s *Service) OnAllowRegistration(ctx context.Context, email string) (allow bool, err error) {
	return !s.isBanned(email[strings.LastIndex(email, "@")+1:]), nil
}
