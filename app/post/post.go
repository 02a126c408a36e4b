// Package post holds the posts on boards. Everybody may read them, members of the board's school write them, their authors
// and staff change them. Who wrote an anonymous post never leaves this package.
package post

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/field"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/listing"
	"github.com/portico-web/portico/internal/resource"
)

// Bounds of a post's texts, in characters.
const (
	MaxTitle   = 200
	MaxContent = 20_000
)

// Post is a post as one certain reader may see it.
type Post struct {
	ID        int64      `json:"id"`
	CreatedAt httpx.Time `json:"created_at" format:"date-time"`
	UpdatedAt httpx.Time `json:"updated_at" format:"date-time"`
	BoardID   int64      `json:"board_id"`
	User      *Author    `json:"user" doc:"Absent from an anonymous post."`
	Title     string     `json:"title"`
	Content   string     `json:"content"`
	Anonymous bool       `json:"anonymous"`
	IsDeleted bool       `json:"is_deleted"`
	IsMine    bool       `json:"is_mine" doc:"The reader wrote it."`
}

// Author is the person who wrote a post, as everybody may know them.
type Author struct {
	_        struct{}  `nullable:"true"` // for the schema: an anonymous post has none
	UserID   uuid.UUID `json:"user_id" format:"uuid"`
	Nickname string    `json:"nickname"`
}

// Fields are what a client may say about a post.
type Fields struct {
	Title     field.Text `json:"title,omitzero" maxLength:"200"`
	Content   field.Text `json:"content,omitzero" maxLength:"20000"`
	Anonymous field.Bool `json:"anonymous,omitzero"`
}

func (f Fields) apply(checks *field.Checks, post *row) error {
	checks.Text("title", f.Title, MaxTitle, &post.Title)
	checks.Text("content", f.Content, MaxContent, &post.Content)
	checks.Bool("anonymous", f.Anonymous, &post.Anonymous)
	return checks.Err()
}

// Posts are all posts. Safe for concurrent use. Errors that are a client's doing are *fault.Errors.
type Posts struct {
	store         store
	schoolOfBoard func(ctx context.Context, board int64) (int64, error)
	clock         func() time.Time
}

// New returns the posts in db; schoolOfBoard finds the school of a board, or fails with a NotFound fault.
func New(db *database.DB, schoolOfBoard func(ctx context.Context, board int64) (int64, error), clock func() time.Time) *Posts {
	return &Posts{store: store{db}, schoolOfBoard: schoolOfBoard, clock: clock}
}

// List returns one page of the posts that in asks for, as the reader of ctx may see them.
func (p *Posts) List(ctx context.Context, in *ListInput) (*listing.Page[Post], error) {
	reader, _ := token.IdentityOf(ctx)
	page, err := p.store.list(ctx, in, reader.UserID)
	if err != nil {
		return nil, err
	}
	return listing.Map(page, func(r *row) Post { return r.seenBy(reader) }), nil
}

// Latest returns the newest posts of all boards, at most limit.
func (p *Posts) Latest(ctx context.Context, limit int64) ([]Post, error) {
	reader, _ := token.IdentityOf(ctx)
	rows, err := p.store.latest(ctx, limit)
	if err != nil {
		return nil, err
	}
	posts := make([]Post, len(rows))
	for i := range rows {
		posts[i] = rows[i].seenBy(reader)
	}
	return posts, nil
}

// Get returns one post as the reader of ctx may see it.
func (p *Posts) Get(ctx context.Context, id int64) (Post, error) {
	found, err := p.store.get(ctx, id)
	if err != nil {
		return Post{}, err
	}
	reader, _ := token.IdentityOf(ctx)
	return found.seenBy(reader), nil
}

// MayPost is nil when the person of ctx may write on a board of this school; otherwise a fault says why not.
func MayPost(ctx context.Context, school int64) (token.Identity, error) {
	writer, err := token.Require(ctx)
	switch {
	case err != nil:
		return token.Identity{}, err
	case writer.SchoolID == 0:
		return token.Identity{}, fault.New(fault.Forbidden, "You belong to no school yet, and only members of a board's school may post.")
	case writer.SchoolID != school:
		return token.Identity{}, fault.New(fault.Forbidden, "Only members of this board's school may post.")
	}
	return writer, nil
}

// Create writes a post on a board, for a member of the board's school.
func (p *Posts) Create(ctx context.Context, board int64, fields Fields) (Post, error) {
	if _, err := token.Require(ctx); err != nil {
		return Post{}, err
	}
	school, err := p.schoolOfBoard(ctx, board)
	if err != nil {
		return Post{}, err
	}
	writer, err := MayPost(ctx, school)
	if err != nil {
		return Post{}, err
	}
	made := row{BoardID: board, UserID: writer.UserID, CreatedAt: resource.Now(p.clock)}
	made.UpdatedAt = made.CreatedAt
	if err := fields.apply(&field.Checks{}, &made); err != nil {
		return Post{}, err
	}
	if err := p.store.insert(ctx, &made); err != nil {
		return Post{}, err
	}
	return p.Get(ctx, made.ID)
}

// Change changes a post, for its author or staff; partial leaves fields that are missing as they are. Staff cannot change
// whether it is anonymous: that would show who wrote it.
func (p *Posts) Change(ctx context.Context, id int64, fields Fields, partial bool, ifMatch string) (Post, error) {
	return p.revise(ctx, id, ifMatch, func(post *row, writer token.Identity) error {
		before := post.Anonymous
		if err := fields.apply(&field.Checks{Partial: partial}, post); err != nil {
			return err
		}
		if post.Anonymous != before && post.UserID != writer.UserID {
			return fault.New(fault.Forbidden, "Only the author may change whether a post is anonymous.")
		}
		return nil
	})
}

// Delete takes a post away, for its author or staff.
func (p *Posts) Delete(ctx context.Context, id int64, ifMatch string) error {
	_, err := p.revise(ctx, id, ifMatch, func(post *row, _ token.Identity) error {
		post.IsDeleted = true
		return nil
	})
	return err
}

// revise lets the author or staff edit a post. The entity tag of ifMatch is that of the post as they see it.
func (p *Posts) revise(ctx context.Context, id int64, ifMatch string, edit func(*row, token.Identity) error) (Post, error) {
	writer, err := token.Require(ctx)
	if err != nil {
		return Post{}, err
	}
	var old, changed row
	return resource.Change(ctx, ifMatch,
		func(ctx context.Context) (Post, error) {
			if old, err = p.store.get(ctx, id); err != nil {
				return Post{}, err
			}
			if old.UserID != writer.UserID && !writer.Staff {
				return Post{}, fault.New(fault.Forbidden, "You do not have permission to perform this action.")
			}
			return old.seenBy(writer), nil
		},
		func(seen *Post) error {
			changed = old
			changed.UpdatedAt = resource.After(p.clock, old.UpdatedAt)
			if err := edit(&changed, writer); err != nil {
				return err
			}
			*seen = changed.seenBy(writer)
			return nil
		},
		func(ctx context.Context, _, _ Post) (bool, error) {
			done, err := p.store.swap(ctx, old, changed)
			if err != nil {
				return false, fmt.Errorf("changing post %d: %w", id, err)
			}
			return done, nil
		})
}
