package token

import (
	"context"

	"github.com/portico-web/portico/internal/fault"
)

// RequireStaff is nil when the request is sent by staff; otherwise a fault: nobody is signed in, or the person lacks the right.
func RequireStaff(ctx context.Context) error {
	identity, err := Require(ctx)
	if err != nil {
		return err
	}
	if !identity.Staff {
		return fault.New(fault.Forbidden, "You do not have permission to perform this action.")
	}
	return nil
}
