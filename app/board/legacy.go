package board

import (
	"context"
	"fmt"

	"github.com/danielgtaylor/huma/v2"

	"github.com/portico-web/portico/internal/listing"
	"github.com/portico-web/portico/internal/resource"
)

// LegacyListInput is GET /board/ of the earlier system. It ignores parameters that it does not know, as that did.
type LegacyListInput struct {
	Name     listing.Filter[string] `query:"name"`
	SchoolID listing.Filter[int64]  `query:"school_id"`
}

// Resolve is called by huma once the declared parameters are read.
func (*LegacyListInput) Resolve(ctx huma.Context) []error { return listing.RefuseUnstorable(ctx) }

// LegacyListOutput is all boards in a plain array.
type LegacyListOutput struct {
	Body []Board `nullable:"false"`
}

// LegacyList answers 200 with all boards, newest first.
func (a API) LegacyList(ctx context.Context, in *LegacyListInput) (*LegacyListOutput, error) {
	boards, err := a.Boards.store.newest(ctx, in)
	return &LegacyListOutput{boards}, err
}

// LegacyCreate answers 201 with the new board; the rest of /board/{id}/ is Read, Replace, Update and Delete.
func (a API) LegacyCreate(ctx context.Context, in *CreateInput) (*Output, error) {
	board, err := a.Boards.Create(ctx, in.Body.Fields)
	if err != nil {
		return nil, err
	}
	return resource.Created(board, fmt.Sprintf("/board/%d/", board.ID))
}
