package school_test

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/portico-web/portico/app/school"
	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/internal/apitest"
	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/listing"
	"github.com/portico-web/portico/migrations"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

type bench struct {
	*apitest.Server
	db     *database.DB
	staff  context.Context
	member context.Context
}

func setup(t *testing.T, url string) bench {
	t.Helper()
	db := apitest.Database(t, url, func(ctx context.Context, db *database.DB) error {
		_, err := db.Migrate(ctx, migrations.FS, slog.New(slog.DiscardHandler))
		return err
	})
	api := school.API{Schools: school.New(db, time.Now)}
	server := apitest.New(func(a huma.API) {
		const all, one = "/api/v1/schools", "/api/v1/schools/{id}"
		apitest.Handle(a, http.MethodGet, all, 200, api.List)
		apitest.Handle(a, http.MethodPost, all, 201, api.Create)
		apitest.Handle(a, http.MethodGet, one, 200, api.Read)
		apitest.Handle(a, http.MethodPut, one, 200, api.Replace)
		apitest.Handle(a, http.MethodPatch, one, 200, api.Update)
		apitest.Handle(a, http.MethodDelete, one, 204, api.Delete)
	})
	return bench{server, db,
		token.WithIdentity(t.Context(), token.Identity{UserID: uuid.New(), Staff: true}),
		token.WithIdentity(t.Context(), token.Identity{UserID: uuid.New(), SchoolID: 1})}
}

func (b bench) school(t *testing.T, name string) school.School {
	t.Helper()
	return apitest.JSON[school.School](t, b.Call(b.staff, "POST", "/api/v1/schools", `{"school_name":`+strconv.Quote(name)+`}`).Want(t, 201, ""))
}

func TestStaffWriteSchoolsAndEverybodyReads(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		made := b.school(t, "  가온대학교 ")
		path := "/api/v1/schools/" + strconv.FormatInt(made.ID, 10)
		if made.SchoolName != "가온대학교" || made.IsDeleted {
			t.Errorf("made %+v", made)
		}
		for _, c := range []struct {
			name, method, path, body string
			ctx                      context.Context
			status                   int
		}{
			{"signed out reads", "GET", path, "", t.Context(), 200},
			{"signed out lists", "GET", "/api/v1/schools", "", t.Context(), 200},
			{"signed out creates", "POST", "/api/v1/schools", `{"school_name":"x"}`, t.Context(), 401},
			{"signed out changes", "PATCH", path, `{"school_name":"x"}`, t.Context(), 401},
			{"signed out deletes", "DELETE", path, "", t.Context(), 401},
			{"member creates", "POST", "/api/v1/schools", `{"school_name":"x"}`, b.member, 403},
			{"member replaces", "PUT", path, `{"school_name":"x"}`, b.member, 403},
			{"member changes", "PATCH", path, `{"school_name":"x"}`, b.member, 403},
			{"member deletes", "DELETE", path, "", b.member, 403},
			{"staff replaces", "PUT", path, `{"school_name":"누리대학교","id":77,"created_at":"x"}`, b.staff, 200},
			{"staff changes", "PATCH", path, `{"school_name":"미르대학교"}`, b.staff, 200},
			{"staff deletes", "DELETE", path, "", b.staff, 204},
			{"deleted is gone", "GET", path, "", b.staff, 404},
			{"deleted cannot be changed", "PATCH", path, `{"school_name":"x"}`, b.staff, 404},
			{"deleted cannot be deleted", "DELETE", path, "", b.staff, 404},
		} {
			if reply := b.Call(c.ctx, c.method, c.path, c.body); reply.Status != c.status {
				t.Errorf("%s: %d %s, want %d", c.name, reply.Status, reply.Text, c.status)
			}
		}
		b.school(t, "미르대학교") // the name of a deleted school is free again
	})
}

func TestSchoolNamesAreChecked(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		b.school(t, "가온대학교")
		other := b.school(t, "누리대학교")
		for _, c := range []struct{ body, want string }{
			{`{}`, `{"school_name":["This field is required."]}`},
			{`{"school_name":null}`, `{"school_name":["This field may not be null."]}`},
			{`{"school_name":"  "}`, `{"school_name":["This field may not be blank."]}`},
			{`{"school_name":[]}`, `{"school_name":["Not a valid string."]}`},
			{`{"school_name":"a\u0000b"}`, `{"school_name":["Null characters are not allowed."]}`},
			{`{"school_name":"` + strings.Repeat("가", 101) + `"}`, `{"school_name":["Ensure this field has no more than 100 characters."]}`},
			{`{"school_name":"가온대학교"}`, `{"school_name":["school with this school name already exists."]}`},
		} {
			b.Call(b.staff, "POST", "/api/v1/schools", c.body).Want(t, 400, c.want)
			if c.body != `{}` {
				b.Call(b.staff, "PATCH", "/api/v1/schools/"+strconv.FormatInt(other.ID, 10), c.body).Want(t, 400, c.want)
			}
		}
		b.Call(b.staff, "POST", "/api/v1/schools", `{"school_name":"`+strings.Repeat("가", 100)+`"}`).Want(t, 201, "")
		b.Call(b.staff, "POST", "/api/v1/schools", `{"school_name":" "}`, "Accept-Language", "ko").Want(t, 400, "이 필드는 비워 둘 수 없습니다.")
	})
}

func TestASchoolWithBoardsStays(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		made := b.school(t, "가온대학교")
		path := "/api/v1/schools/" + strconv.FormatInt(made.ID, 10)
		board := map[string]any{"school_id": made.ID, "category": "c", "name": "n", "created_at": made.CreatedAt.Time, "updated_at": made.CreatedAt.Time}
		if _, err := b.db.NewInsert().Model(&board).Table("boards").Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.Call(b.staff, "DELETE", path, "").Want(t, 409, "This school still has boards.")
		b.Call(b.staff, "GET", path, "").Want(t, 200, made.SchoolName)
	})
}

func TestSchoolsAreListedByNameAndFiltered(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		first, second := b.school(t, "B"), b.school(t, "A")
		for _, c := range []struct {
			query string
			want  []int64
		}{
			{"", []int64{second.ID, first.ID}},
			{"?ordering=id", []int64{first.ID, second.ID}},
			{"?ordering=-school_name", []int64{first.ID, second.ID}},
			{"?school_name=A", []int64{second.ID}},
			{"?school_name=", []int64{second.ID, first.ID}},
			{"?id=" + strconv.FormatInt(first.ID, 10), []int64{first.ID}},
			{"?is_deleted=true", nil},
			{"?created_at__gte=9999-12-31T23:59:59-09:00", nil},
			{"?created_at__gte=0000-01-01T00:00:00Z&is_deleted=false", []int64{second.ID, first.ID}},
		} {
			page := apitest.JSON[listing.Page[school.School]](t, b.Call(t.Context(), "GET", "/api/v1/schools"+c.query, "").Want(t, 200, ""))
			var got []int64
			for _, item := range page.Results {
				got = append(got, item.ID)
			}
			if len(got) != len(c.want) || page.Count != int64(len(c.want)) {
				t.Errorf("%s: got %v, want %v", c.query, got, c.want)
				continue
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("%s: got %v, want %v", c.query, got, c.want)
				}
			}
		}
		for _, bad := range []string{"?nope=1", "?ordering=password", "?id=x", "?is_deleted=perhaps", "?created_at=yesterday", "?school_name=%00", "?school_name=%ff", "?page=0", "?page=x", "?page_size=-1"} {
			b.Call(t.Context(), "GET", "/api/v1/schools"+bad, "").Want(t, 400, "")
		}
		b.Call(t.Context(), "GET", "/api/v1/schools?page=2", "").Want(t, 404, "Invalid page.")
		b.Call(t.Context(), "GET", "/api/v1/schools?page=9223372036854775807", "").Want(t, 404, "Invalid page.")
		b.Call(t.Context(), "GET", "/api/v1/schools/abc", "").Want(t, 404, "Not found.")
		b.Call(t.Context(), "GET", "/api/v1/schools/999", "", "Accept-Language", "ko-KR").Want(t, 404, `{"detail":"찾을 수 없습니다."}`)
	})
}

func TestASchoolWaitsForTheBoardThatIsBeingAdded(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		for i := range 10 {
			made := b.school(t, "school "+strconv.Itoa(i))
			answered := make(chan func(), 1)
			err := b.db.RunInTx(t.Context(), func(ctx context.Context, tx database.Tx) error {
				board := map[string]any{"school_id": made.ID, "category": "c", "name": "n", "created_at": made.CreatedAt.Time, "updated_at": made.CreatedAt.Time}
				if _, err := tx.NewInsert().Model(&board).Table("boards").Exec(ctx); err != nil {
					return err
				}
				started := make(chan struct{})
				go func() {
					close(started)
					got := b.Call(b.staff, "DELETE", "/api/v1/schools/"+strconv.FormatInt(made.ID, 10), "")
					answered <- func() { got.Want(t, 409, "This school still has boards.") }
				}()
				<-started
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			(<-answered)()
		}
	})
}
