package post

import (
	"context"
	"fmt"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/field"
	"github.com/portico-web/portico/internal/listing"
	"github.com/portico-web/portico/internal/resource"
)

// API answers /api/v1/posts, /api/v1/posts/{id} and /api/v1/boards/{id}/posts.
type API struct{ Posts *Posts }

// ListInput is GET /api/v1/posts.
type ListInput struct {
	listing.Params
	listing.Times
	ID        listing.Filter[int64]     `query:"id"`
	BoardID   listing.Filter[int64]     `query:"board_id"`
	SchoolID  listing.Filter[int64]     `query:"school_id" doc:"Posts on any board of this school."`
	UserID    listing.Filter[uuid.UUID] `query:"user_id" format:"uuid" doc:"Posts of this person; not the anonymous ones, unless it is you."`
	Title     listing.Filter[string]    `query:"title"`
	Content   listing.Filter[string]    `query:"content"`
	Anonymous listing.Filter[bool]      `query:"anonymous"`
	IsMine    listing.Filter[bool]      `query:"is_mine" doc:"Only your own posts, or only those of others."`
	IsDeleted listing.Filter[bool]      `query:"is_deleted" doc:"Deleted ones are never listed; true finds none."`
}

// BoardListInput is GET /api/v1/boards/{id}/posts.
type BoardListInput struct {
	Board int64 `path:"id" doc:"The number of the board."`
	ListInput
}

// PostForm is the body that replaces a post or makes one on a board, PostPatch the one that changes it, and LoosePostForm
// the one that makes a post and names its board.
type (
	PostForm      struct{ Fields }
	PostPatch     struct{ Fields }
	LoosePostForm struct {
		BoardID field.Int `json:"board_id,omitzero"`
		Fields
	}
)

func (PostForm) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return field.Document(s, "title", "content")
}

func (PostPatch) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return field.Document(s)
}

func (LoosePostForm) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return field.Document(s, "board_id", "title", "content")
}

// BoardCreateInput is POST /api/v1/boards/{id}/posts.
type BoardCreateInput struct {
	Board int64 `path:"id" doc:"The number of the board."`
	Body  PostForm
}

// CreateInput is POST /api/v1/posts.
type CreateInput struct{ Body LoosePostForm }

// ReplaceInput is PUT /api/v1/posts/{id}.
type ReplaceInput struct {
	resource.Target
	Body PostForm
}

// UpdateInput is PATCH /api/v1/posts/{id}.
type UpdateInput struct {
	resource.Target
	Body PostPatch
}

// ListOutput is a page of posts.
type ListOutput struct{ Body *listing.Page[Post] }

// Output is one post.
type Output = resource.Output[Post]

// List answers 200 with a page of posts.
func (a API) List(ctx context.Context, in *ListInput) (*ListOutput, error) {
	page, err := a.Posts.List(ctx, in)
	return &ListOutput{page}, err
}

// BoardList answers 200 with a page of one board's posts, 404 when there is no such board.
func (a API) BoardList(ctx context.Context, in *BoardListInput) (*ListOutput, error) {
	if _, err := a.Posts.schoolOfBoard(ctx, in.Board); err != nil {
		return nil, err
	}
	if in.BoardID.Set && in.BoardID.Value != in.Board {
		return nil, fault.Field("board_id", "Not the board of this address.")
	}
	in.BoardID = listing.Filter[int64]{Value: in.Board, Set: true}
	return a.List(ctx, &in.ListInput)
}

// Read answers 200 with one post, 304 when the client has it.
func (a API) Read(ctx context.Context, in *resource.Read) (*Output, error) {
	post, err := a.Posts.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return resource.Show(post, in.IfNoneMatch)
}

// BoardCreate answers 201 with the new post on the board of the address.
func (a API) BoardCreate(ctx context.Context, in *BoardCreateInput) (*Output, error) {
	return a.create(ctx, in.Board, in.Body.Fields)
}

// Create answers 201 with the new post on the board that the body names.
func (a API) Create(ctx context.Context, in *CreateInput) (*Output, error) {
	if _, err := token.Require(ctx); err != nil {
		return nil, err
	}
	var board int64
	var checks field.Checks
	if checks.Int("board_id", in.Body.BoardID, &board) {
		switch _, err := a.Posts.schoolOfBoard(ctx, board); {
		case fault.KindOf(err) == fault.NotFound:
			checks.Refuse("board_id", fmt.Sprintf("Invalid pk \"%d\" - object does not exist.", board))
		case err != nil:
			return nil, err
		}
	}
	if err := in.Body.apply(&checks, &row{}); err != nil {
		return nil, err
	}
	return a.create(ctx, board, in.Body.Fields)
}

func (a API) create(ctx context.Context, board int64, fields Fields) (*Output, error) {
	post, err := a.Posts.Create(ctx, board, fields)
	if err != nil {
		return nil, err
	}
	return resource.Created(post, fmt.Sprintf("/api/v1/posts/%d", post.ID))
}

// Replace answers 200 with the changed post; title and content are required.
func (a API) Replace(ctx context.Context, in *ReplaceInput) (*Output, error) {
	return a.change(ctx, in.Target, in.Body.Fields, false)
}

// Update answers 200 with the changed post.
func (a API) Update(ctx context.Context, in *UpdateInput) (*Output, error) {
	return a.change(ctx, in.Target, in.Body.Fields, true)
}

func (a API) change(ctx context.Context, target resource.Target, fields Fields, partial bool) (*Output, error) {
	post, err := a.Posts.Change(ctx, target.ID, fields, partial, target.IfMatch)
	if err != nil {
		return nil, err
	}
	return resource.Show(post, "")
}

// Delete answers 204.
func (a API) Delete(ctx context.Context, in *resource.Target) (*resource.Empty, error) {
	return nil, a.Posts.Delete(ctx, in.ID, in.IfMatch)
}
