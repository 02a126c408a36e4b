package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/portico-web/portico/internal/fault"
)

// Longest texts, in characters.
const (
	maxEmail    = 254
	maxName     = 150
	maxNickname = 50
)

// User is a person with an account, as a row of the table users.
type User struct {
	bun.BaseModel `bun:"table:users,alias:u"`

	ID            uuid.UUID `bun:"user_id,pk"`
	SchoolID      *int64
	Email         string
	EmailKey      string // Email in lower case: the unique one
	Password      string `json:"-"` // a hash in PHC string format
	Nickname      string
	AdmissionYear *int
	FirstName     string
	LastName      string
	Name          string
	IsActive      bool
	IsStaff       bool
	IsSuperuser   bool
	IsAdmin       bool
	LastLogin     *time.Time
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// staff tells whether the user may do what staff may.
func (u *User) staff() bool { return u.IsStaff || u.IsSuperuser || u.IsAdmin }

// UserPatch is what a user may change; nil leaves a field as it is.
type UserPatch struct {
	FirstName *string
	LastName  *string
}

// User returns the account id; a fault of kind NotFound when there is none.
func (s *Service) User(ctx context.Context, id uuid.UUID) (User, error) {
	user, err := s.store.userByID(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, fault.New(fault.NotFound, "Not found.")
	}
	return user, err
}

// UpdateUser changes the account id and returns it as it is then.
func (s *Service) UpdateUser(ctx context.Context, id uuid.UUID, patch UserPatch) (User, error) {
	faults := &fault.Error{Kind: fault.Invalid}
	changes := map[string]string{}
	for field, value := range map[string]*string{"first_name": patch.FirstName, "last_name": patch.LastName} {
		if value != nil {
			changes[field] = checkName(ctx, faults, field, *value, maxName)
		}
	}
	if len(faults.Fields) > 0 {
		return User{}, faults
	}
	if len(changes) > 0 {
		if err := s.store.updateUser(ctx, id, changes, s.now()); err != nil {
			return User{}, err
		}
	}
	return s.User(ctx, id)
}

// CreateAdmin makes an account that may do everything, and tells whether it did: an account that exists is returned as it is,
// whoever made it.
func (s *Service) CreateAdmin(ctx context.Context, email, password string) (user User, created bool, err error) {
	address, err := parseEmail(email)
	if err != nil {
		return User{}, false, fault.Field("email", invalidEmail)
	}
	user, err = s.store.userByEmail(ctx, address.key)
	if err == nil || !errors.Is(err, sql.ErrNoRows) {
		return user, false, err
	}
	if messages := passwordFaults(password, address.text); len(messages) > 0 {
		return User{}, false, fault.Field("password", messages...)
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return User{}, false, err
	}
	user = s.newUser(address, hash)
	user.Nickname = "Administrator"
	user.IsStaff, user.IsSuperuser, user.IsAdmin = true, true, true
	err = s.store.insertUser(ctx, s.store.db.DB, &user)
	if errors.Is(err, errEmailTaken) {
		user, err = s.store.userByEmail(ctx, address.key)
		return user, false, err
	}
	if err != nil {
		return User{}, false, fmt.Errorf("creating the administrator: %w", err)
	}
	return user, true, nil
}

func (s *Service) newUser(address emailAddress, hash string) User {
	now := s.now()
	return User{
		ID: uuid.New(), Email: address.text, EmailKey: address.key, Password: hash, IsActive: true,
		CreatedAt: now, UpdatedAt: now,
	}
}
