package school

import (
	"context"
	"fmt"

	"github.com/danielgtaylor/huma/v2"

	"github.com/portico-web/portico/internal/field"
	"github.com/portico-web/portico/internal/listing"
	"github.com/portico-web/portico/internal/resource"
)

// API answers /api/v1/schools and /api/v1/schools/{id}.
type API struct{ Schools *Schools }

// ListInput is GET /api/v1/schools.
type ListInput struct {
	listing.Params
	listing.Times
	ID         listing.Filter[int64]  `query:"id"`
	SchoolName listing.Filter[string] `query:"school_name"`
	IsDeleted  listing.Filter[bool]   `query:"is_deleted" doc:"Deleted ones are never listed; true finds none."`
}

// SchoolForm is the body that makes or replaces a school, SchoolPatch the one that changes it.
type (
	SchoolForm  struct{ Fields }
	SchoolPatch struct{ Fields }
)

func (SchoolForm) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return field.Document(s, "school_name")
}

func (SchoolPatch) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return field.Document(s)
}

// CreateInput is POST /api/v1/schools.
type CreateInput struct{ Body SchoolForm }

// ReplaceInput is PUT /api/v1/schools/{id}.
type ReplaceInput struct {
	resource.Target
	Body SchoolForm
}

// UpdateInput is PATCH /api/v1/schools/{id}.
type UpdateInput struct {
	resource.Target
	Body SchoolPatch
}

// ListOutput is a page of schools.
type ListOutput struct{ Body *listing.Page[School] }

// Output is one school.
type Output = resource.Output[School]

// List answers 200 with a page of schools.
func (a API) List(ctx context.Context, in *ListInput) (*ListOutput, error) {
	page, err := a.Schools.store.list(ctx, in)
	return &ListOutput{page}, err
}

// Read answers 200 with one school, 304 when the client has it.
func (a API) Read(ctx context.Context, in *resource.Read) (*Output, error) {
	school, err := a.Schools.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return resource.Show(school, in.IfNoneMatch)
}

// Create answers 201 with the new school.
func (a API) Create(ctx context.Context, in *CreateInput) (*Output, error) {
	school, err := a.Schools.Create(ctx, in.Body.Fields)
	if err != nil {
		return nil, err
	}
	return resource.Created(school, fmt.Sprintf("/api/v1/schools/%d", school.ID))
}

// Replace answers 200 with the changed school; every field is required.
func (a API) Replace(ctx context.Context, in *ReplaceInput) (*Output, error) {
	return a.change(ctx, in.Target, in.Body.Fields, false)
}

// Update answers 200 with the changed school.
func (a API) Update(ctx context.Context, in *UpdateInput) (*Output, error) {
	return a.change(ctx, in.Target, in.Body.Fields, true)
}

func (a API) change(ctx context.Context, target resource.Target, fields Fields, partial bool) (*Output, error) {
	school, err := a.Schools.Change(ctx, target.ID, fields, partial, target.IfMatch)
	if err != nil {
		return nil, err
	}
	return resource.Show(school, "")
}

// Delete answers 204.
func (a API) Delete(ctx context.Context, in *resource.Target) (*resource.Empty, error) {
	return nil, a.Schools.Delete(ctx, in.ID, in.IfMatch)
}
