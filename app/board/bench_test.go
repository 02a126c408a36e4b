package board_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/portico-web/portico/app/board"
	"github.com/portico-web/portico/internal/apitest"
	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/migrations"
)

// BenchmarkLegacyList is GET /board/ with twenty boards.
func BenchmarkLegacyList(b *testing.B) {
	for name, open := range map[string]func(testing.TB) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			db := apitest.Database(b, open(b), func(ctx context.Context, db *database.DB) error {
				if _, err := db.Migrate(ctx, migrations.FS, slog.New(slog.DiscardHandler)); err != nil {
					return err
				}
				_, err := db.ExecContext(ctx, "INSERT INTO schools (id, school_name, created_at, updated_at) VALUES (1, 'A', ?, ?)", time.Now(), time.Now())
				for i := 0; i < 20 && err == nil; i++ {
					_, err = db.ExecContext(ctx, "INSERT INTO boards (school_id, category, name, created_at, updated_at) VALUES (1, '진로', ?, ?, ?)",
						fmt.Sprint("진로게시판", i), time.Now(), time.Now())
				}
				return err
			})
			api := board.API{Boards: board.New(db, nil, time.Now)}
			server := apitest.New(func(a huma.API) { apitest.Handle(a, http.MethodGet, "/board/", 200, api.LegacyList) })
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if reply := server.Call(b.Context(), "GET", "/board/", ""); reply.Status != 200 {
						b.Error(reply.Text)
						return
					}
				}
			})
		})
	}
}
