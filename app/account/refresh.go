package account

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/fault"
)

// grace is how long after its use a refresh token is answered with the same child again: a client whose answer got lost, or
// that asked twice at once, is no thief.
const grace = 10 * time.Second

const codeTokenNotValid = "token_not_valid"

func refuseToken(message string, cause error) error {
	return &fault.Error{Kind: fault.Unauthenticated, Code: codeTokenNotValid, Message: message, Cause: cause}
}

// tokenRefusal puts the reason why a token is refused into simplejwt's words.
func tokenRefusal(err error) error {
	switch {
	case errors.Is(err, token.ErrExpired):
		return refuseToken("Token is expired", err)
	case errors.Is(err, token.ErrWrongKind):
		return refuseToken("Token has wrong type", err)
	default:
		return refuseToken("Token is invalid", err)
	}
}

// Refresh replaces a refresh token by its one child and returns a session with it. However many ask at once, in however many
// processes, there is one child, and for ten seconds everybody gets it. Later use of a replaced token, or use after the child
// was used, means that two parties hold the session: it is ended for both.
func (s *Service) Refresh(ctx context.Context, refresh string) (Session, error) {
	if refresh == "" {
		return Session{}, refuseToken("No valid refresh token found.", nil)
	}
	claims, err := s.keys.Verify(refresh, s.now(), token.Refresh)
	if err != nil {
		return Session{}, tokenRefusal(err)
	}
	var rotated rotation
	err = s.store.db.RunInTx(ctx, func(ctx context.Context, tx database.Tx) (err error) {
		rotated, err = s.rotate(ctx, tx, claims, refresh)
		return err
	})
	switch {
	case err != nil:
		return Session{}, err
	case rotated.stolen:
		s.log.WarnContext(ctx, "a refresh token was used again: its session is ended", "user", claims.UserID, "family", claims.Family)
		return Session{}, refuseToken("Token is blacklisted", nil)
	}
	return s.session(rotated.user, rotated.signed, rotated.row, s.now())
}

// rotation is what became of a refresh token: a child, or the end of its family.
type rotation struct {
	user   User
	row    *refreshToken
	signed string
	stolen bool
}

// rotate decides under the lock of the token's user. What it decides is committed when its error is nil, theft too.
func (s *Service) rotate(ctx context.Context, tx database.Tx, claims token.Claims, signed string) (rotation, error) {
	user, err := s.store.lockUser(ctx, tx, claims.UserID)
	if err != nil && !missing(err) {
		return rotation{}, err
	}
	if err != nil || !user.IsActive {
		return rotation{}, fault.Coded(fault.Unauthenticated, "no_active_account", "No active account found for the given token.")
	}
	parent, err := s.knownToken(ctx, tx, claims, signed)
	if err != nil {
		return rotation{}, err
	}
	now := s.now()
	if parent.UsedAt == nil {
		row, child, err := s.newToken(ctx, user.ID, &parent, now)
		if err != nil {
			return rotation{}, err
		}
		if err := s.store.insertRefreshToken(ctx, tx, row); err != nil {
			return rotation{}, err
		}
		return rotation{user: user, row: row, signed: child}, s.store.markUsed(ctx, tx, parent.ID, now)
	}
	if now.Sub(*parent.UsedAt) <= grace {
		row, child, err := s.sameChild(ctx, tx, parent)
		if err != nil {
			return rotation{}, err
		}
		if row != nil {
			return rotation{user: user, row: row, signed: child}, nil
		}
	}
	return rotation{stolen: true}, s.store.revokeFamily(ctx, tx, parent.Family, now)
}

// sameChild finds the child again that a token was replaced by; nil when it is no longer fresh.
func (s *Service) sameChild(ctx context.Context, tx database.Tx, parent refreshToken) (*refreshToken, string, error) {
	// Under a new secret the successor's id is another one, so that the id of a child made before has to be looked for.
	row, err := s.store.childOf(ctx, tx, parent)
	if missing(err) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	if row.UsedAt != nil || row.RevokedAt != nil {
		return nil, "", nil
	}
	candidates, err := s.keys.SignAll(row.claims())
	if err != nil {
		return nil, "", err
	}
	for _, candidate := range candidates {
		if bytes.Equal(hashToken(candidate), row.Hash) {
			return &row, candidate, nil
		}
	}
	return nil, "", nil
}

// knownToken finds the row of a token whose signature was verified, and refuses it when the row does.
func (s *Service) knownToken(ctx context.Context, db bun.IDB, claims token.Claims, signed string) (refreshToken, error) {
	row, err := s.store.refreshTokenByID(ctx, db, claims.ID)
	if missing(err) {
		return refreshToken{}, refuseToken("Token is invalid", err)
	}
	if err != nil {
		return refreshToken{}, err
	}
	if !bytes.Equal(row.Hash, hashToken(signed)) || row.UserID != claims.UserID {
		return refreshToken{}, refuseToken("Token is invalid", nil)
	}
	if row.RevokedAt != nil {
		return refreshToken{}, refuseToken("Token is blacklisted", nil)
	}
	return row, nil
}

// VerifyToken tells whether an access or refresh token is still good: nil, or the fault that says why not. A refresh token
// that was replaced or revoked is not.
func (s *Service) VerifyToken(ctx context.Context, raw string) error {
	claims, err := s.keys.Verify(raw, s.now(), token.Access, token.Refresh)
	if err != nil {
		return tokenRefusal(err)
	}
	if claims.Kind == token.Access {
		return nil
	}
	row, err := s.knownToken(ctx, s.store.db.DB, claims, raw)
	if err == nil && row.UsedAt != nil {
		err = refuseToken("Token is blacklisted", nil)
	}
	return err
}

// Logout ends the session that a refresh token belongs to, on every device that shares it. A token that is over, or no token
// at all, is no error: signed out is signed out.
func (s *Service) Logout(ctx context.Context, refresh string) error {
	claims, err := s.keys.VerifyPast(refresh, token.Refresh)
	if err != nil || claims.Family == uuid.Nil {
		return nil //nolint:nilerr // what is no token of ours has no session to end
	}
	return s.store.db.RunInTx(ctx, func(ctx context.Context, tx database.Tx) error {
		if _, err := s.store.lockUser(ctx, tx, claims.UserID); err != nil {
			if missing(err) {
				return nil
			}
			return err
		}
		return s.store.revokeFamily(ctx, tx, claims.Family, s.now())
	})
}
