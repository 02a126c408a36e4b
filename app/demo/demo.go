// Package demo fills a database with a campus: schools, boards, people and half a year of posts, all invented and every time
// the same.
package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/portico-web/portico/internal/database"
)

const (
	postsPerBoard   = 25
	peoplePerSchool = 10
	// seed is what all that is random here grows from.
	seed = 20260301
	// fillLock is the key of the advisory lock that lets one process fill at a time: "campus" in ASCII.
	fillLock = 0x63616d707573
)

// The half year in which people write.
var (
	from  = time.Date(2026, 5, 18, 0, 0, 0, 0, time.UTC)
	until = time.Date(2026, 11, 16, 0, 0, 0, 0, time.UTC)
)

type schoolRow struct {
	bun.BaseModel `bun:"table:schools"`
	ID            int64     `bun:"id,pk,autoincrement"`
	SchoolName    string    `bun:"school_name"`
	IsDeleted     bool      `bun:"is_deleted"`
	CreatedAt     time.Time `bun:"created_at"`
	UpdatedAt     time.Time `bun:"updated_at"`
}

type userRow struct {
	bun.BaseModel `bun:"table:users"`
	UserID        uuid.UUID `bun:"user_id,pk"`
	SchoolID      int64     `bun:"school_id"`
	Email         string    `bun:"email"`
	EmailKey      string    `bun:"email_key"`
	Password      string    `bun:"password"`
	Nickname      string    `bun:"nickname"`
	AdmissionYear int       `bun:"admission_year"`
	IsActive      bool      `bun:"is_active"`
	CreatedAt     time.Time `bun:"created_at"`
	UpdatedAt     time.Time `bun:"updated_at"`
}

type boardRow struct {
	bun.BaseModel `bun:"table:boards"`
	ID            int64     `bun:"id,pk,autoincrement"`
	SchoolID      int64     `bun:"school_id"`
	Category      string    `bun:"category"`
	Name          string    `bun:"name"`
	IsDeleted     bool      `bun:"is_deleted"`
	CreatedAt     time.Time `bun:"created_at"`
	UpdatedAt     time.Time `bun:"updated_at"`
}

type postRow struct {
	bun.BaseModel `bun:"table:posts"`
	ID            int64     `bun:"id,pk,autoincrement"`
	BoardID       int64     `bun:"board_id"`
	UserID        uuid.UUID `bun:"user_id"`
	Title         string    `bun:"title"`
	Content       string    `bun:"content"`
	Anonymous     bool      `bun:"anonymous"`
	IsDeleted     bool      `bun:"is_deleted"`
	CreatedAt     time.Time `bun:"created_at"`
	UpdatedAt     time.Time `bun:"updated_at"`
}

// Fill adds 4 schools, 20 boards, 40 people and 500 posts in one transaction; where they are already it changes nothing.
// hash turns a password into what the column users.password holds. Nobody knows the password of the people made here.
func Fill(ctx context.Context, db *database.DB, hash func(password string) (string, error)) error {
	password, err := hash(rand.Text())
	if err != nil {
		return fmt.Errorf("hashing the password of the demo's people: %w", err)
	}
	err = db.RunInTx(ctx, func(ctx context.Context, tx database.Tx) error {
		if db.IsPostgres() {
			if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(?)", int64(fillLock)); err != nil {
				return err
			}
		}
		filled, err := tx.NewSelect().Model((*userRow)(nil)).Where("user_id = ?", personID(0)).Exists(ctx)
		if err != nil || filled {
			return err
		}
		return fill(ctx, tx, password)
	})
	if err != nil {
		return fmt.Errorf("filling the database with a campus: %w", err)
	}
	return nil
}

func fill(ctx context.Context, tx database.Tx, password string) error {
	random := mathrand.New(mathrand.NewPCG(seed, seed)) //nolint:gosec // the same every time is what is wanted
	var users []userRow
	var posts []postRow
	for i, place := range campus {
		school, err := findOrAdd(ctx, tx, place.name)
		if err != nil {
			return err
		}
		members := people(i, school.ID, place, password)
		users = append(users, members...)
		boards := boardsOf(i, school.ID, place)
		if _, err := tx.NewInsert().Model(&boards).Exec(ctx); err != nil {
			return err
		}
		for at, board := range boards {
			posts = append(posts, postsOn(random, board.ID, place.texts, kinds[at], members)...)
		}
	}
	if _, err := tx.NewInsert().Model(&users).Exec(ctx); err != nil {
		return err
	}
	// Numbers grow with time, as they do when people write.
	slices.SortStableFunc(posts, func(a, b postRow) int { return a.CreatedAt.Compare(b.CreatedAt) })
	_, err := tx.NewInsert().Model(&posts).Exec(ctx)
	return err
}

// findOrAdd returns the school of this name, which somebody may have added already.
func findOrAdd(ctx context.Context, tx database.Tx, name string) (schoolRow, error) {
	var found []schoolRow
	if err := tx.NewSelect().Model(&found).Where("school_name = ?", name).Where("NOT is_deleted").Scan(ctx); err != nil {
		return schoolRow{}, err
	}
	if len(found) > 0 {
		return found[0], nil
	}
	made := schoolRow{SchoolName: name, CreatedAt: from, UpdatedAt: from}
	_, err := tx.NewInsert().Model(&made).Exec(ctx)
	return made, err
}

func personID(number int) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceURL, fmt.Appendf(nil, "https://portico.example.com/demo/people/%d", number))
}

func people(school int, schoolID int64, place campusSchool, password string) []userRow {
	rows := make([]userRow, peoplePerSchool)
	for i := range rows {
		number := school*peoplePerSchool + i
		email := fmt.Sprintf("%s%02d@%s.example.com", logins[number%len(logins)], number, place.domain)
		joined := from.Add(time.Duration(number) * -31 * time.Hour)
		rows[i] = userRow{
			UserID: personID(number), SchoolID: schoolID, Email: email, EmailKey: email, Password: password,
			Nickname: place.nicknames[i], AdmissionYear: 2020 + number%7, IsActive: true, CreatedAt: joined, UpdatedAt: joined,
		}
	}
	return rows
}

func boardsOf(school int, schoolID int64, place campusSchool) []boardRow {
	rows := make([]boardRow, len(kinds))
	for i := range rows {
		made := from.Add(time.Duration(school*len(kinds)+i) * time.Minute).Add(211450 * time.Microsecond)
		rows[i] = boardRow{SchoolID: schoolID, Category: place.boards[i][0], Name: place.boards[i][1], CreatedAt: made, UpdatedAt: made}
	}
	return rows
}

func postsOn(random *mathrand.Rand, board int64, texts language, kind string, members []userRow) []postRow {
	rows := make([]postRow, 0, postsPerBoard)
	titles := map[string]bool{}
	for len(rows) < postsPerBoard {
		title, content := texts.write(random, kind)
		if titles[title] {
			continue // nobody asks the same thing twice on one board
		}
		titles[title] = true
		made := waking(random)
		row := postRow{
			BoardID: board, UserID: members[random.IntN(len(members))].UserID, Title: title, Content: content,
			Anonymous: random.IntN(3) == 0, CreatedAt: made, UpdatedAt: made,
		}
		if random.IntN(12) == 0 {
			row.UpdatedAt = made.Add(time.Duration(1+random.IntN(90)) * time.Minute)
		}
		rows = append(rows, row)
	}
	return rows
}

// waking is a moment of the half year at which students are awake: from eight in the morning to two at night in Korea.
func waking(random *mathrand.Rand) time.Time {
	days := int(until.Sub(from) / (24 * time.Hour))
	morning := from.AddDate(0, 0, random.IntN(days)).Add(-time.Hour) // 08:00 in Korea
	return morning.Add(time.Duration(random.Int64N(int64(18*time.Hour)/int64(time.Microsecond))) * time.Microsecond)
}
