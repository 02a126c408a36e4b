package board

import (
	"context"
	"fmt"

	"github.com/danielgtaylor/huma/v2"

	"github.com/portico-web/portico/internal/field"
	"github.com/portico-web/portico/internal/listing"
	"github.com/portico-web/portico/internal/resource"
)

// API answers /api/v1/boards and /api/v1/boards/{id}, and the earlier system's /board/ and /board/{id}/.
type API struct{ Boards *Boards }

// ListInput is GET /api/v1/boards.
type ListInput struct {
	listing.Params
	listing.Times
	ID        listing.Filter[int64]  `query:"id"`
	Category  listing.Filter[string] `query:"category"`
	Name      listing.Filter[string] `query:"name"`
	SchoolID  listing.Filter[int64]  `query:"school_id"`
	IsDeleted listing.Filter[bool]   `query:"is_deleted" doc:"Deleted ones are never listed; true finds none."`
}

// BoardForm is the body that makes or replaces a board, BoardPatch the one that changes it.
type (
	BoardForm  struct{ Fields }
	BoardPatch struct{ Fields }
)

func (BoardForm) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return field.Document(s, "category", "name", "school_id")
}

func (BoardPatch) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return field.Document(s)
}

// CreateInput is POST /api/v1/boards.
type CreateInput struct{ Body BoardForm }

// ReplaceInput is PUT /api/v1/boards/{id}.
type ReplaceInput struct {
	resource.Target
	Body BoardForm
}

// UpdateInput is PATCH /api/v1/boards/{id}.
type UpdateInput struct {
	resource.Target
	Body BoardPatch
}

// ListOutput is a page of boards.
type ListOutput struct{ Body *listing.Page[Board] }

// Output is one board.
type Output = resource.Output[Board]

// List answers 200 with a page of boards.
func (a API) List(ctx context.Context, in *ListInput) (*ListOutput, error) {
	page, err := a.Boards.store.list(ctx, in)
	return &ListOutput{page}, err
}

// Read answers 200 with one board, 304 when the client has it.
func (a API) Read(ctx context.Context, in *resource.Read) (*Output, error) {
	board, err := a.Boards.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return resource.Show(board, in.IfNoneMatch)
}

// Create answers 201 with the new board.
func (a API) Create(ctx context.Context, in *CreateInput) (*Output, error) {
	board, err := a.Boards.Create(ctx, in.Body.Fields)
	if err != nil {
		return nil, err
	}
	return resource.Created(board, fmt.Sprintf("/api/v1/boards/%d", board.ID))
}

// Replace answers 200 with the changed board; every field is required.
func (a API) Replace(ctx context.Context, in *ReplaceInput) (*Output, error) {
	return a.change(ctx, in.Target, in.Body.Fields, false)
}

// Update answers 200 with the changed board.
func (a API) Update(ctx context.Context, in *UpdateInput) (*Output, error) {
	return a.change(ctx, in.Target, in.Body.Fields, true)
}

func (a API) change(ctx context.Context, target resource.Target, fields Fields, partial bool) (*Output, error) {
	board, err := a.Boards.Change(ctx, target.ID, fields, partial, target.IfMatch)
	if err != nil {
		return nil, err
	}
	return resource.Show(board, "")
}

// Delete answers 204.
func (a API) Delete(ctx context.Context, in *resource.Target) (*resource.Empty, error) {
	return nil, a.Boards.Delete(ctx, in.ID, in.IfMatch)
}
