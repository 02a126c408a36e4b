package post

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/listing"
)

// row is a post with its author, whom only seenBy decides to show.
type row struct {
	bun.BaseModel `bun:"table:posts,alias:post"`

	ID        int64      `bun:"id,pk,autoincrement"`
	CreatedAt httpx.Time `bun:"created_at"`
	UpdatedAt httpx.Time `bun:"updated_at"`
	BoardID   int64      `bun:"board_id"`
	UserID    uuid.UUID  `bun:"user_id"`
	Title     string     `bun:"title"`
	Content   string     `bun:"content"`
	Anonymous bool       `bun:"anonymous"`
	IsDeleted bool       `bun:"is_deleted"`
	Nickname  string     `bun:"nickname,scanonly"`
}

func (r *row) seenBy(reader token.Identity) Post {
	post := Post{
		ID: r.ID, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, BoardID: r.BoardID, Title: r.Title, Content: r.Content,
		Anonymous: r.Anonymous, IsDeleted: r.IsDeleted, IsMine: reader.UserID == r.UserID,
	}
	if !r.Anonymous {
		post.User = &Author{UserID: r.UserID, Nickname: r.Nickname}
	}
	return post
}

type store struct{ db *database.DB }

// orderings leave the author out: the order would tell who wrote an anonymous post.
var orderings = map[string]string{
	"id": "post.id", "created_at": "post.created_at", "updated_at": "post.updated_at", "board_id": "post.board_id", "title": "post.title",
	"anonymous": "post.anonymous",
}

// visible keeps posts that are there, on boards that are there.
func visible(query *bun.SelectQuery) *bun.SelectQuery {
	return query.Where("NOT post.is_deleted").
		Where("EXISTS (SELECT 1 FROM boards AS board WHERE board.id = post.board_id AND NOT board.is_deleted)")
}

func withAuthor(query *bun.SelectQuery) {
	query.ColumnExpr("post.*").ColumnExpr("author.nickname").Join("JOIN users AS author ON author.user_id = post.user_id")
}

func (s store) list(ctx context.Context, in *ListInput, reader uuid.UUID) (*listing.Page[row], error) {
	query := visible(s.db.NewSelect().Model((*row)(nil)))
	listing.Where(query, "post.id", "=", in.ID)
	listing.Where(query, "post.board_id", "=", in.BoardID)
	listing.Where(query, "post.title", "=", in.Title)
	listing.Where(query, "post.content", "=", in.Content)
	listing.Where(query, "post.anonymous", "=", in.Anonymous)
	listing.Where(query, "post.is_deleted", "=", in.IsDeleted)
	in.Times.Where(query)
	if in.SchoolID.Set {
		query.Where("post.board_id IN (SELECT id FROM boards WHERE school_id = ?)", in.SchoolID.Value)
	}
	if in.UserID.Set {
		// Asking for a person's posts must not find the anonymous ones, unless they are the reader's own.
		query.Where("post.user_id = ?", in.UserID.Value)
		if in.UserID.Value != reader {
			query.Where("NOT post.anonymous")
		}
	}
	if in.IsMine.Set {
		if in.IsMine.Value {
			query.Where("post.user_id = ?", reader)
		} else {
			query.Where("post.user_id <> ?", reader)
		}
	}
	if err := in.Order(query, orderings, "-id"); err != nil {
		return nil, err
	}
	return listing.Fetch[row](ctx, &in.Params, query, withAuthor)
}

func (s store) latest(ctx context.Context, limit int64) ([]row, error) {
	var rows []row
	query := visible(s.db.NewSelect().Model(&rows)).OrderExpr("post.id DESC").Limit(limit)
	withAuthor(query)
	if err := query.Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading the latest posts: %w", err)
	}
	return rows, nil
}

func (s store) get(ctx context.Context, id int64) (row, error) {
	var found row
	query := visible(s.db.NewSelect().Model(&found)).Where("post.id = ?", id)
	withAuthor(query)
	err := query.Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, fault.New(fault.NotFound, "Not found.")
	}
	if err != nil {
		return row{}, fmt.Errorf("reading post %d: %w", id, err)
	}
	return found, nil
}

func (s store) insert(ctx context.Context, post *row) error {
	_, err := s.db.NewInsert().Model(post).Exec(ctx)
	switch {
	case database.IsForeignKeyViolation(err):
		return fault.Wrap(fault.Unauthenticated, "User not found", err) // the account ended while its access token lives on
	case err != nil:
		return fmt.Errorf("adding a post: %w", err)
	}
	return nil
}

// swap writes changed if the row is still old.
func (s store) swap(ctx context.Context, old, changed row) (bool, error) {
	result, err := s.db.NewUpdate().Model(&changed).Column("title", "content", "anonymous", "is_deleted", "updated_at").
		Where("id = ?", old.ID).Where("updated_at = ?", old.UpdatedAt).Where("NOT is_deleted").Exec(ctx)
	if err != nil {
		return false, err
	}
	rows, err := result.RowsAffected()
	return rows > 0, err
}
