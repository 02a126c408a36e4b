package board

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/listing"
)

type store struct{ db *database.DB }

var orderings = map[string]string{
	"id": "id", "created_at": "created_at", "updated_at": "updated_at", "category": "category", "name": "name", "school_id": "school_id",
}

func (s store) list(ctx context.Context, in *ListInput) (*listing.Page[Board], error) {
	query := s.db.NewSelect().Model((*Board)(nil)).Where("NOT is_deleted")
	listing.Where(query, "id", "=", in.ID)
	listing.Where(query, "category", "=", in.Category)
	listing.Where(query, "name", "=", in.Name)
	listing.Where(query, "school_id", "=", in.SchoolID)
	listing.Where(query, "is_deleted", "=", in.IsDeleted)
	in.Times.Where(query)
	if err := in.Order(query, orderings, "-created_at"); err != nil {
		return nil, err
	}
	return listing.Fetch[Board](ctx, &in.Params, query)
}

// newest returns all boards that in asks for, newest first.
func (s store) newest(ctx context.Context, in *LegacyListInput) ([]Board, error) {
	boards := []Board{}
	query := s.db.NewSelect().Model(&boards).Where("NOT is_deleted").Order("created_at DESC", "id DESC")
	listing.Where(query, "name", "=", in.Name)
	listing.Where(query, "school_id", "=", in.SchoolID)
	if err := query.Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading boards: %w", err)
	}
	return boards, nil
}

func (s store) get(ctx context.Context, id int64) (Board, error) {
	var board Board
	err := s.db.NewSelect().Model(&board).Where("id = ?", id).Where("NOT is_deleted").Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return Board{}, fault.New(fault.NotFound, "Not found.")
	}
	if err != nil {
		return Board{}, fmt.Errorf("reading board %d: %w", id, err)
	}
	return board, nil
}

func (s store) insert(ctx context.Context, board *Board) error {
	return s.db.RunInTx(ctx, func(ctx context.Context, tx database.Tx) error {
		if _, err := tx.NewInsert().Model(board).Exec(ctx); err != nil {
			return fmt.Errorf("adding a board: %w", err)
		}
		return requireSchool(ctx, tx, board.SchoolID)
	})
}

// swap writes changed if the row is still old.
func (s store) swap(ctx context.Context, old, changed Board) (done bool, err error) {
	if changed.SchoolID == old.SchoolID {
		return update(ctx, s.db.DB, old, changed)
	}
	err = s.db.RunInTx(ctx, func(ctx context.Context, tx database.Tx) error {
		if done, err = update(ctx, tx, old, changed); err != nil {
			return err
		}
		return requireSchool(ctx, tx, changed.SchoolID)
	})
	return done, err
}

// requireSchool fails when a school has been deleted. tx must have written a board of that school: by the foreign key the
// school cannot go away then until tx ends.
func requireSchool(ctx context.Context, tx database.Tx, id int64) error {
	exists, err := tx.NewSelect().Table("schools").Where("id = ?", id).Where("NOT is_deleted").Exists(ctx)
	if err != nil {
		return fmt.Errorf("looking for school %d: %w", id, err)
	}
	if !exists {
		return fault.Field("school_id", noSuchSchool(id))
	}
	return nil
}

func update(ctx context.Context, db bun.IDB, old, changed Board) (bool, error) {
	result, err := db.NewUpdate().Model(&changed).Column("category", "name", "school_id", "is_deleted", "updated_at").
		Where("id = ?", old.ID).Where("updated_at = ?", old.UpdatedAt).Where("NOT is_deleted").Exec(ctx)
	if err != nil {
		return false, fmt.Errorf("changing board %d: %w", old.ID, err)
	}
	rows, err := result.RowsAffected()
	return rows > 0, err
}
