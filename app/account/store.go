package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/portico-web/portico/internal/database"
)

// store reads and writes the tables users and refresh_tokens.
type store struct{ db *database.DB }

var (
	errEmailTaken = errors.New("the e-mail address is taken")
	errNoSchool   = errors.New("there is no such school")
)

// refreshToken is a refresh token as a row: all but the token itself, of which there is only a hash.
type refreshToken struct {
	bun.BaseModel `bun:"table:refresh_tokens,alias:rt"`

	ID        uuid.UUID  `bun:"id,pk"`
	Family    uuid.UUID  // the first token's id, shared by all that came of it
	Parent    *uuid.UUID // the token this one replaced
	UserID    uuid.UUID
	Hash      []byte
	IP        string `bun:"ip"`
	UserAgent string
	ExpiresAt time.Time
	UsedAt    *time.Time // when it was replaced
	RevokedAt *time.Time
	CreatedAt time.Time
	UpdatedAt time.Time
}

func (s *store) userByID(ctx context.Context, id uuid.UUID) (User, error) {
	var user User
	if err := s.db.NewSelect().Model(&user).Where("user_id = ?", id).Scan(ctx); err != nil {
		return User{}, fmt.Errorf("reading a user: %w", err)
	}
	return user, nil
}

func (s *store) userByEmail(ctx context.Context, key string) (User, error) {
	var user User
	if err := s.db.NewSelect().Model(&user).Where("email_key = ?", key).Scan(ctx); err != nil {
		return User{}, fmt.Errorf("reading a user: %w", err)
	}
	return user, nil
}

// standing reads what a request's authorization rests on.
func (s *store) standing(ctx context.Context, id uuid.UUID) (User, error) {
	var user User
	err := s.db.NewSelect().Model(&user).
		Column("user_id", "school_id", "is_active", "is_staff", "is_superuser", "is_admin").
		Where("user_id = ?", id).Scan(ctx)
	if err != nil {
		return User{}, fmt.Errorf("reading a user: %w", err)
	}
	return user, nil
}

func (s *store) emailTaken(ctx context.Context, key string) (bool, error) {
	taken, err := s.db.NewSelect().Model((*User)(nil)).Where("email_key = ?", key).Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("looking for an e-mail address: %w", err)
	}
	return taken, nil
}

// schoolExists tells whether people can still join the school.
func (s *store) schoolExists(ctx context.Context, id int64) (bool, error) {
	exists, err := s.db.NewSelect().Table("schools").Where("id = ?", id).Where("NOT is_deleted").Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("looking for a school: %w", err)
	}
	return exists, nil
}

func (s *store) insertUser(ctx context.Context, db bun.IDB, user *User) error {
	_, err := db.NewInsert().Model(user).Exec(ctx)
	switch {
	case database.IsUniqueViolation(err):
		return errEmailTaken
	case database.IsForeignKeyViolation(err):
		return errNoSchool
	case err != nil:
		return fmt.Errorf("inserting a user: %w", err)
	}
	return nil
}

// updateUser sets the columns named; the names are ours, never a client's.
func (s *store) updateUser(ctx context.Context, id uuid.UUID, changes map[string]string, now time.Time) error {
	query := s.db.NewUpdate().Model((*User)(nil)).Set("updated_at = ?", now).Where("user_id = ?", id)
	for column, value := range changes {
		query.Set("? = ?", bun.Ident(column), value)
	}
	if _, err := query.Exec(ctx); err != nil {
		return fmt.Errorf("updating a user: %w", err)
	}
	return nil
}

// replaceHash stores a new hash of the same password, unless it was changed meanwhile.
func (s *store) replaceHash(ctx context.Context, id uuid.UUID, from, to string, now time.Time) error {
	_, err := s.db.NewUpdate().Model((*User)(nil)).Set("password = ?", to).Set("updated_at = ?", now).
		Where("user_id = ?", id).Where("password = ?", from).Exec(ctx)
	if err != nil {
		return fmt.Errorf("replacing a password's hash: %w", err)
	}
	return nil
}

// noteLogin sets the time of the last sign-in, if the account is still active and has the password that was proved.
func (s *store) noteLogin(ctx context.Context, tx database.Tx, user *User, now time.Time) (noted bool, err error) {
	result, err := tx.NewUpdate().Model((*User)(nil)).Set("last_login = ?", now).
		Where("user_id = ?", user.ID).Where("password = ?", user.Password).Where("is_active").Exec(ctx)
	if err != nil {
		return false, fmt.Errorf("noting a sign-in: %w", err)
	}
	rows, err := result.RowsAffected()
	return rows == 1, err
}

// lockUser reads a user and keeps everybody else from rotating or revoking that user's refresh tokens until tx ends. On
// SQLite transactions exclude each other anyway.
func (s *store) lockUser(ctx context.Context, tx database.Tx, id uuid.UUID) (User, error) {
	var user User
	query := tx.NewSelect().Model(&user).Where("user_id = ?", id)
	if s.db.IsPostgres() {
		query.For("NO KEY UPDATE")
	}
	if err := query.Scan(ctx); err != nil {
		return User{}, fmt.Errorf("locking a user: %w", err)
	}
	return user, nil
}

func (s *store) refreshTokenByID(ctx context.Context, db bun.IDB, id uuid.UUID) (refreshToken, error) {
	var row refreshToken
	if err := db.NewSelect().Model(&row).Where("id = ?", id).Scan(ctx); err != nil {
		return refreshToken{}, fmt.Errorf("reading a refresh token: %w", err)
	}
	return row, nil
}

func (s *store) childOf(ctx context.Context, db bun.IDB, parent refreshToken) (refreshToken, error) {
	var row refreshToken
	err := db.NewSelect().Model(&row).Where("family = ?", parent.Family).Where("parent = ?", parent.ID).Scan(ctx)
	if err != nil {
		return refreshToken{}, fmt.Errorf("reading a refresh token's child: %w", err)
	}
	return row, nil
}

func (s *store) insertRefreshToken(ctx context.Context, tx database.Tx, row *refreshToken) error {
	if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
		return fmt.Errorf("inserting a refresh token: %w", err)
	}
	return nil
}

func (s *store) markUsed(ctx context.Context, tx database.Tx, id uuid.UUID, now time.Time) error {
	_, err := tx.NewUpdate().Model((*refreshToken)(nil)).Set("used_at = ?", now).Set("updated_at = ?", now).
		Where("id = ?", id).Exec(ctx)
	if err != nil {
		return fmt.Errorf("marking a refresh token as used: %w", err)
	}
	return nil
}

func (s *store) revokeFamily(ctx context.Context, tx database.Tx, family uuid.UUID, now time.Time) error {
	_, err := tx.NewUpdate().Model((*refreshToken)(nil)).Set("revoked_at = ?", now).Set("updated_at = ?", now).
		Where("family = ?", family).Where("revoked_at IS NULL").Exec(ctx)
	if err != nil {
		return fmt.Errorf("revoking a session: %w", err)
	}
	return nil
}

const (
	// purgeBatch is how many rows one statement deletes, so that no lock is held for long.
	purgeBatch = 1000
	// revokedFor is how long a revoked token is kept, so that its use is still recognized.
	revokedFor = 7 * 24 * time.Hour
)

// DeleteOldTokens deletes the refresh tokens that are over at now, and those revoked more than seven days before, and returns
// how many. It works in batches and may be stopped and run again at any time.
func DeleteOldTokens(ctx context.Context, db *database.DB, now time.Time) (int64, error) {
	expired, err := deleteTokens(ctx, db, "expires_at < ?", now.UTC())
	if err != nil {
		return expired, err
	}
	revoked, err := deleteTokens(ctx, db, "revoked_at < ?", now.UTC().Add(-revokedFor))
	return expired + revoked, err
}

func deleteTokens(ctx context.Context, db *database.DB, condition string, before time.Time) (total int64, err error) {
	for {
		batch := db.NewSelect().Model((*refreshToken)(nil)).Column("id").Where(condition, before).Limit(purgeBatch)
		if db.IsPostgres() {
			batch.For("UPDATE SKIP LOCKED") // who waits for nobody cannot be part of a deadlock
		}
		result, err := db.NewDelete().Model((*refreshToken)(nil)).Where("id IN (?)", batch).Exec(ctx)
		if err != nil {
			return total, fmt.Errorf("deleting old refresh tokens: %w", err)
		}
		rows, err := result.RowsAffected()
		if err != nil {
			return total, fmt.Errorf("counting deleted refresh tokens: %w", err)
		}
		total += rows
		if rows < purgeBatch {
			return total, nil
		}
	}
}

// PurgeTokens is DeleteOldTokens on the service's database and clock.
func (s *Service) PurgeTokens(ctx context.Context) (int64, error) {
	return DeleteOldTokens(ctx, s.store.db, s.now())
}

func missing(err error) bool { return errors.Is(err, sql.ErrNoRows) }
