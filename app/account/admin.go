package account

import (
	"context"
	"errors"

	"github.com/portico-web/portico/internal/fault"
)

// HasAdmin tells whether there is an administrator.
func (s *Service) HasAdmin(ctx context.Context) (bool, error) {
	return s.store.db.NewSelect().Model((*User)(nil)).Where("is_admin").Exists(ctx)
}

// IsAdmin tells whether email and password are an active administrator's. Tries are limited as sign-ins are. What cannot be
// checked is told as an error, and nobody is an administrator then.
func (s *Service) IsAdmin(ctx context.Context, email, password string) (bool, error) {
	user, err := s.authenticate(ctx, email, password)
	if refused, ok := errors.AsType[*fault.Error](err); ok && refused.Kind == fault.Invalid {
		return false, nil
	}
	return err == nil && user.IsAdmin, err
}

// HashPassword is the hash under which a password is kept.
func (s *Service) HashPassword(ctx context.Context, password string) (string, error) {
	return s.hasher.hash(ctx, password)
}
