// Package board holds the boards of each school. Everybody may read them, staff change them.
package board

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/field"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/resource"
)

// Bounds of a board's texts, in characters.
const (
	MaxCategory = 50
	MaxName     = 100
)

// Board is a board, as a row and as JSON.
type Board struct {
	bun.BaseModel `bun:"table:boards,alias:board" json:"-"`

	ID        int64      `bun:"id,pk,autoincrement" json:"id"`
	CreatedAt httpx.Time `bun:"created_at" json:"created_at" format:"date-time"`
	UpdatedAt httpx.Time `bun:"updated_at" json:"updated_at" format:"date-time"`
	Category  string     `bun:"category" json:"category"`
	Name      string     `bun:"name" json:"name"`
	IsDeleted bool       `bun:"is_deleted" json:"is_deleted"`
	SchoolID  int64      `bun:"school_id" json:"school_id"`
}

// Fields are what a client may say about a board.
type Fields struct {
	Category field.Text `json:"category,omitzero" maxLength:"50" example:"\"진로\""`
	Name     field.Text `json:"name,omitzero" maxLength:"100" example:"\"진로게시판\""`
	SchoolID field.Int  `json:"school_id,omitzero" example:"2"`
}

// Boards are all boards. Safe for concurrent use. Errors that are a client's doing are *fault.Errors.
type Boards struct {
	store        store
	schoolExists func(ctx context.Context, id int64) (bool, error)
	clock        func() time.Time
}

// New returns the boards in db; schoolExists tells whether there is a school with a number.
func New(db *database.DB, schoolExists func(ctx context.Context, id int64) (bool, error), clock func() time.Time) *Boards {
	return &Boards{store: store{db}, schoolExists: schoolExists, clock: clock}
}

func (b *Boards) apply(ctx context.Context, fields Fields, board *Board, partial bool) error {
	checks := field.Checks{Partial: partial}
	checks.Text("category", fields.Category, MaxCategory, &board.Category)
	checks.Text("name", fields.Name, MaxName, &board.Name)
	if checks.Int("school_id", fields.SchoolID, &board.SchoolID) {
		exists, err := b.schoolExists(ctx, board.SchoolID)
		if err != nil {
			return err
		}
		if !exists {
			checks.Refuse("school_id", noSuchSchool(board.SchoolID))
		}
	}
	return checks.Err()
}

func noSuchSchool(id int64) string {
	return fmt.Sprintf("Invalid pk \"%d\" - object does not exist.", id)
}

// All returns every board, newest first.
func (b *Boards) All(ctx context.Context) ([]Board, error) {
	return b.store.newest(ctx, &LegacyListInput{})
}

// Get returns one board.
func (b *Boards) Get(ctx context.Context, id int64) (Board, error) { return b.store.get(ctx, id) }

// School returns the number of the school that a board belongs to.
func (b *Boards) School(ctx context.Context, id int64) (int64, error) {
	board, err := b.store.get(ctx, id)
	return board.SchoolID, err
}

// Create makes a board, for staff.
func (b *Boards) Create(ctx context.Context, fields Fields) (Board, error) {
	if err := token.RequireStaff(ctx); err != nil {
		return Board{}, err
	}
	var made Board
	if err := b.apply(ctx, fields, &made, false); err != nil {
		return Board{}, err
	}
	made.CreatedAt = resource.Now(b.clock)
	made.UpdatedAt = made.CreatedAt
	return made, b.store.insert(ctx, &made)
}

// Change changes a board, for staff; partial leaves fields that are missing as they are.
func (b *Boards) Change(ctx context.Context, id int64, fields Fields, partial bool, ifMatch string) (Board, error) {
	if err := token.RequireStaff(ctx); err != nil {
		return Board{}, err
	}
	return b.revise(ctx, id, ifMatch, func(board *Board) error { return b.apply(ctx, fields, board, partial) })
}

// Delete takes a board away, for staff; its posts go out of sight with it.
func (b *Boards) Delete(ctx context.Context, id int64, ifMatch string) error {
	if err := token.RequireStaff(ctx); err != nil {
		return err
	}
	_, err := b.revise(ctx, id, ifMatch, func(board *Board) error {
		board.IsDeleted = true
		return nil
	})
	return err
}

func (b *Boards) revise(ctx context.Context, id int64, ifMatch string, edit func(*Board) error) (Board, error) {
	return resource.Change(ctx, ifMatch,
		func(ctx context.Context) (Board, error) { return b.store.get(ctx, id) },
		func(board *Board) error {
			board.UpdatedAt = resource.After(b.clock, board.UpdatedAt)
			return edit(board)
		},
		b.store.swap)
}
