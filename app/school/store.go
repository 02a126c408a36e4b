package school

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/uptrace/bun"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/listing"
)

type store struct{ db *database.DB }

var orderings = map[string]string{"id": "id", "school_name": "school_name", "created_at": "created_at", "updated_at": "updated_at"}

func (s store) list(ctx context.Context, in *ListInput) (*listing.Page[School], error) {
	query := s.db.NewSelect().Model((*School)(nil)).Where("NOT is_deleted")
	listing.Where(query, "id", "=", in.ID)
	listing.Where(query, "school_name", "=", in.SchoolName)
	listing.Where(query, "is_deleted", "=", in.IsDeleted)
	in.Times.Where(query)
	if err := in.Order(query, orderings, "school_name"); err != nil {
		return nil, err
	}
	return listing.Fetch[School](ctx, &in.Params, query)
}

func (s store) all(ctx context.Context) ([]School, error) {
	var schools []School
	if err := s.db.NewSelect().Model(&schools).Where("NOT is_deleted").Order("school_name", "id").Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading all schools: %w", err)
	}
	return schools, nil
}

func (s store) get(ctx context.Context, id int64) (School, error) {
	var school School
	err := s.db.NewSelect().Model(&school).Where("id = ?", id).Where("NOT is_deleted").Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return School{}, fault.New(fault.NotFound, "Not found.")
	}
	if err != nil {
		return School{}, fmt.Errorf("reading school %d: %w", id, err)
	}
	return school, nil
}

func (s store) exists(ctx context.Context, id int64) (bool, error) {
	exists, err := s.db.NewSelect().Model((*School)(nil)).Where("id = ?", id).Where("NOT is_deleted").Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("looking for school %d: %w", id, err)
	}
	return exists, nil
}

func (s store) insert(ctx context.Context, school *School) error {
	_, err := s.db.NewInsert().Model(school).Exec(ctx)
	return nameTaken(err, "adding a school")
}

// swap writes changed if the row is still old.
func (s store) swap(ctx context.Context, old, changed School) (done bool, err error) {
	if !changed.IsDeleted {
		return update(ctx, s.db.DB, old, changed)
	}
	changed.SchoolName += " #" + strconv.FormatInt(old.ID, 10) // the name is free for another school
	err = s.db.RunInTx(ctx, func(ctx context.Context, tx database.Tx) error {
		if s.db.IsPostgres() { // who is adding a board holds this row, by its foreign key
			if _, err := tx.NewSelect().Model((*School)(nil)).Where("id = ?", old.ID).For("UPDATE").Exec(ctx); err != nil {
				return fmt.Errorf("locking school %d: %w", old.ID, err)
			}
		}
		used, err := tx.NewSelect().Table("boards").Where("school_id = ?", old.ID).Where("NOT is_deleted").Exists(ctx)
		if err != nil {
			return fmt.Errorf("looking for boards of school %d: %w", old.ID, err)
		}
		if used {
			return fault.New(fault.Conflict, "This school still has boards.")
		}
		done, err = update(ctx, tx, old, changed)
		return err
	})
	return done, err
}

func update(ctx context.Context, db bun.IDB, old, changed School) (bool, error) {
	result, err := db.NewUpdate().Model(&changed).Column("school_name", "is_deleted", "updated_at").
		Where("id = ?", old.ID).Where("updated_at = ?", old.UpdatedAt).Where("NOT is_deleted").Exec(ctx)
	if err != nil {
		return false, nameTaken(err, "changing a school")
	}
	rows, err := result.RowsAffected()
	return rows > 0, err
}

func nameTaken(err error, doing string) error {
	switch {
	case err == nil:
		return nil
	case database.IsUniqueViolation(err):
		return fault.Field("school_name", "school with this school name already exists.")
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}
