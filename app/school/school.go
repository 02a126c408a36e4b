// Package school holds the schools that students belong to. Everybody may read them, staff change them.
package school

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/field"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/resource"
)

// MaxName bounds a school's name, in characters.
const MaxName = 100

// School is a school, as a row and as JSON.
type School struct {
	bun.BaseModel `bun:"table:schools,alias:school" json:"-"`

	ID         int64      `bun:"id,pk,autoincrement" json:"id"`
	CreatedAt  httpx.Time `bun:"created_at" json:"created_at" format:"date-time"`
	UpdatedAt  httpx.Time `bun:"updated_at" json:"updated_at" format:"date-time"`
	SchoolName string     `bun:"school_name" json:"school_name"`
	IsDeleted  bool       `bun:"is_deleted" json:"is_deleted"`
}

// Fields are what a client may say about a school.
type Fields struct {
	SchoolName field.Text `json:"school_name,omitzero" maxLength:"100" example:"\"한빛대학교\""`
}

func (f Fields) apply(school *School, partial bool) error {
	checks := field.Checks{Partial: partial}
	checks.Text("school_name", f.SchoolName, MaxName, &school.SchoolName)
	return checks.Err()
}

// Schools are all schools. Safe for concurrent use. Errors that are a client's doing are *fault.Errors.
type Schools struct {
	store store
	clock func() time.Time
}

// New returns the schools in db.
func New(db *database.DB, clock func() time.Time) *Schools {
	return &Schools{store: store{db}, clock: clock}
}

// All returns every school in the order of their names.
func (s *Schools) All(ctx context.Context) ([]School, error) { return s.store.all(ctx) }

// Get returns one school.
func (s *Schools) Get(ctx context.Context, id int64) (School, error) { return s.store.get(ctx, id) }

// Exists tells whether there is a school with this number.
func (s *Schools) Exists(ctx context.Context, id int64) (bool, error) { return s.store.exists(ctx, id) }

// Create makes a school, for staff.
func (s *Schools) Create(ctx context.Context, fields Fields) (School, error) {
	if err := token.RequireStaff(ctx); err != nil {
		return School{}, err
	}
	var made School
	if err := fields.apply(&made, false); err != nil {
		return School{}, err
	}
	made.CreatedAt = resource.Now(s.clock)
	made.UpdatedAt = made.CreatedAt
	return made, s.store.insert(ctx, &made)
}

// Change changes a school, for staff; partial leaves fields that are missing as they are.
func (s *Schools) Change(ctx context.Context, id int64, fields Fields, partial bool, ifMatch string) (School, error) {
	if err := token.RequireStaff(ctx); err != nil {
		return School{}, err
	}
	return s.revise(ctx, id, ifMatch, func(school *School) error { return fields.apply(school, partial) })
}

// Delete takes a school away, for staff. One that still has boards stays: they would hang in the air.
func (s *Schools) Delete(ctx context.Context, id int64, ifMatch string) error {
	if err := token.RequireStaff(ctx); err != nil {
		return err
	}
	_, err := s.revise(ctx, id, ifMatch, func(school *School) error {
		school.IsDeleted = true
		return nil
	})
	return err
}

func (s *Schools) revise(ctx context.Context, id int64, ifMatch string, edit func(*School) error) (School, error) {
	return resource.Change(ctx, ifMatch,
		func(ctx context.Context) (School, error) { return s.store.get(ctx, id) },
		func(school *School) error {
			school.UpdatedAt = resource.After(s.clock, school.UpdatedAt)
			return edit(school)
		},
		s.store.swap)
}
