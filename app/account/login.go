package account

import (
	"context"
	"errors"
	"fmt"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/fault"
)

func wrongCredentials() error {
	return fault.Field(fault.NonField, "Unable to log in with provided credentials.")
}

// maxLoginPassword bounds what is hashed, in bytes: what is longer was never accepted as a password.
const maxLoginPassword = 4 * maxPassword

// Login signs a person in by e-mail address, in any letter case, and password. Who does not know the password learns nothing
// about the account, not by the time that the answer takes either.
func (s *Service) Login(ctx context.Context, email, password string) (Session, error) {
	if email == "" || password == "" {
		return Session{}, fault.Field(fault.NonField, `Must include "email" and "password".`)
	}
	if err := s.limits.login(ctx); err != nil {
		return Session{}, err
	}
	user, err := s.authenticate(ctx, email, password)
	if err != nil {
		return Session{}, err
	}
	now := s.now()
	row, signed, err := s.newToken(ctx, user.ID, nil, now)
	if err != nil {
		return Session{}, err
	}
	err = s.store.db.RunInTx(ctx, func(ctx context.Context, tx database.Tx) error {
		noted, err := s.store.noteLogin(ctx, tx, &user, now)
		if err != nil {
			return err
		}
		if !noted { // the account was closed or its password changed while this one was being checked
			return wrongCredentials()
		}
		return s.store.insertRefreshToken(ctx, tx, row)
	})
	if err != nil {
		return Session{}, err
	}
	user.LastLogin = &now
	return s.session(user, signed, row, now)
}

// authenticate finds the active account that email and password belong to.
func (s *Service) authenticate(ctx context.Context, email, password string) (User, error) {
	var user User
	address, err := parseEmail(email)
	if err == nil && len(password) <= maxLoginPassword {
		if user, err = s.store.userByEmail(ctx, address.key); err != nil && !missing(err) {
			return User{}, err
		}
	}
	if err := s.limits.attempt(ctx, address.key, user.LastLogin); err != nil {
		return User{}, err
	}
	matches, outdated, err := s.hasher.verify(ctx, user.Password, password[:min(len(password), maxLoginPassword)])
	switch {
	case errors.Is(err, errNotArgon2):
		s.log.ErrorContext(ctx, "an account's password cannot be checked", "user", user.ID, "error", err)
	case err != nil:
		return User{}, err
	}
	if !matches {
		s.limits.failure(ctx)
		return User{}, wrongCredentials()
	}
	if !user.IsActive {
		return User{}, fault.Field(fault.NonField, "User account is disabled.")
	}
	if outdated {
		return s.rehash(ctx, user, password)
	}
	return user, nil
}

// rehash brings the hash of a proven password to the costs that new ones have.
func (s *Service) rehash(ctx context.Context, user User, password string) (User, error) {
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return User{}, err
	}
	if err := s.store.replaceHash(ctx, user.ID, user.Password, hash, s.now()); err != nil {
		return User{}, err
	}
	// Another sign-in may have been quicker; its hash is as good.
	current, err := s.store.userByID(ctx, user.ID)
	if err != nil {
		return User{}, fmt.Errorf("after renewing a password's hash: %w", err)
	}
	if current.Password == hash {
		return current, nil
	}
	matches, _, err := s.hasher.verify(ctx, current.Password, password)
	if err != nil {
		return User{}, err
	}
	if !matches {
		return User{}, wrongCredentials()
	}
	return current, nil
}
