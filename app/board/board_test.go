package board_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/portico-web/portico/app/board"
	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/internal/apitest"
	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/field"
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

// setup serves boards over a database with the schools 1 and 2; school 2 counts as deleted.
func setup(t *testing.T, url string) bench {
	t.Helper()
	db := apitest.Database(t, url, func(ctx context.Context, db *database.DB) error {
		if _, err := db.Migrate(ctx, migrations.FS, slog.New(slog.DiscardHandler)); err != nil {
			return err
		}
		_, err := db.ExecContext(ctx, "INSERT INTO schools (id, school_name, created_at, updated_at) VALUES (1, 'A', ?, ?), (2, 'B', ?, ?)",
			time.Now(), time.Now(), time.Now(), time.Now())
		return err
	})
	exists := func(_ context.Context, id int64) (bool, error) { return id == 1, nil }
	api := board.API{Boards: board.New(db, exists, time.Now)}
	server := apitest.New(func(a huma.API) {
		for _, paths := range [][2]string{{"/api/v1/boards", "/api/v1/boards/{id}"}, {"/board/", "/board/{id}/"}} {
			all, one := paths[0], paths[1]
			if all == "/board/" {
				apitest.Handle(a, http.MethodGet, all, 200, api.LegacyList)
				apitest.Handle(a, http.MethodPost, all, 201, api.LegacyCreate)
			} else {
				apitest.Handle(a, http.MethodGet, all, 200, api.List)
				apitest.Handle(a, http.MethodPost, all, 201, api.Create)
			}
			apitest.Handle(a, http.MethodGet, one, 200, api.Read)
			apitest.Handle(a, http.MethodPut, one, 200, api.Replace)
			apitest.Handle(a, http.MethodPatch, one, 200, api.Update)
			apitest.Handle(a, http.MethodDelete, one, 204, api.Delete)
		}
	})
	return bench{server, db,
		token.WithIdentity(t.Context(), token.Identity{UserID: uuid.New(), Staff: true}),
		token.WithIdentity(t.Context(), token.Identity{UserID: uuid.New(), SchoolID: 1})}
}

func (b bench) board(t *testing.T, name string) (board.Board, string) {
	t.Helper()
	body, _ := json.Marshal(map[string]any{"category": "진로", "name": name, "school_id": 1})
	made := apitest.JSON[board.Board](t, b.Call(b.staff, "POST", "/api/v1/boards", string(body)).Want(t, 201, ""))
	return made, fmt.Sprintf("/api/v1/boards/%d", made.ID)
}

func TestStaffWriteBoardsAndEverybodyReads(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		made, path := b.board(t, "진로게시판")
		legacy := fmt.Sprintf("/board/%d/", made.ID)
		const body = `{"category":"c","name":"n","school_id":1}`
		for _, c := range []struct {
			who                context.Context
			name, method, path string
			body               string
			status             int
		}{
			{t.Context(), "signed out", "GET", path, "", 200},
			{t.Context(), "signed out", "GET", legacy, "", 200},
			{t.Context(), "signed out", "GET", "/api/v1/boards", "", 200},
			{t.Context(), "signed out", "GET", "/board/", "", 200},
			{t.Context(), "signed out", "POST", "/api/v1/boards", body, 401},
			{t.Context(), "signed out", "POST", "/board/", body, 401},
			{t.Context(), "signed out", "PUT", path, body, 401},
			{t.Context(), "signed out", "PATCH", legacy, body, 401},
			{t.Context(), "signed out", "DELETE", legacy, "", 401},
			{b.member, "member", "POST", "/api/v1/boards", body, 403},
			{b.member, "member", "POST", "/board/", body, 403},
			{b.member, "member", "PUT", legacy, body, 403},
			{b.member, "member", "PATCH", path, body, 403},
			{b.member, "member", "DELETE", path, "", 403},
			{b.staff, "staff", "PUT", path, body, 200},
			{b.staff, "staff", "PUT", legacy, body, 200},
			{b.staff, "staff", "PATCH", path, `{}`, 200},
			{b.staff, "staff", "DELETE", path, "", 204},
			{b.staff, "staff, deleted", "GET", path, "", 404},
			{b.staff, "staff, deleted", "GET", legacy, "", 404},
			{b.staff, "staff, deleted", "PUT", path, body, 404},
			{b.staff, "staff, deleted", "DELETE", legacy, "", 404},
		} {
			if reply := b.Call(c.who, c.method, c.path, c.body); reply.Status != c.status {
				t.Errorf("%s %s %s: %d %s, want %d", c.name, c.method, c.path, reply.Status, reply.Text, c.status)
			}
		}
		b.Call(t.Context(), "GET", legacy, "", "Accept-Language", "ko").Want(t, 404, `{"detail":"찾을 수 없습니다."}`)
		b.Call(t.Context(), "GET", legacy, "").Want(t, 404, `{"detail":"Not found."}`)
		b.Call(t.Context(), "GET", "/board/", "").Want(t, 200, "[]")
	})
}

func TestTheEarlierBoardsKeepTheirShape(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		reply := b.Call(b.staff, "POST", "/board/", `{"category":"진로","name":"진로게시판","school_id":"1","is_deleted":true}`).Want(t, 201, "")
		shape := regexp.MustCompile(`^\{"id":1,"created_at":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+09:00)","updated_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+09:00","category":"진로","name":"진로게시판","is_deleted":false,"school_id":1\}$`)
		if !shape.MatchString(reply.Text) {
			t.Errorf("a board looks like %s", reply.Text)
		}
		if location := reply.Header.Get("Location"); location != "/board/1/" {
			t.Errorf("Location %q", location)
		}
		b.Call(t.Context(), "GET", "/board/1/", "").Want(t, 200, reply.Text)
		b.board(t, "새내기")
		list := b.Call(t.Context(), "GET", "/board/?_=123", "").Want(t, 200, reply.Text)
		boards := apitest.JSON[[]struct{ ID int64 }](t, list)
		if len(boards) != 2 || boards[0].ID != 2 {
			t.Errorf("boards are not newest first: %s", list.Text)
		}
		for query, want := range map[string]int{"?name=새내기": 1, "?name=새": 0, "?school_id=1": 2, "?school_id=2": 0, "?name=새내기&school_id=1": 1} {
			if got := apitest.JSON[[]any](t, b.Call(t.Context(), "GET", "/board/"+query, "").Want(t, 200, "")); len(got) != want {
				t.Errorf("%s finds %d boards, want %d", query, len(got), want)
			}
		}
		b.Call(t.Context(), "GET", "/board/?school_id=x", "").Want(t, 400, "school_id")
		b.Call(t.Context(), "GET", "/board/?name=%00", "").Want(t, 400, "name")
	})
}

func TestBoardFieldsAreCheckedTogether(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		_, path := b.board(t, "n")
		for _, c := range []struct{ method, body, want string }{
			{"POST", `{}`, `{"category":["This field is required."],"name":["This field is required."],"school_id":["This field is required."]}`},
			{"PUT", `{"name":"` + strings.Repeat("가", 101) + `","category":null,"school_id":true}`,
				`{"category":["This field may not be null."],"name":["Ensure this field has no more than 100 characters."],"school_id":["A valid integer is required."]}`},
			{"PATCH", `{"category":"` + strings.Repeat("c", 51) + `"}`, `{"category":["Ensure this field has no more than 50 characters."]}`},
			{"PATCH", `{"school_id":2}`, `{"school_id":["Invalid pk \"2\" - object does not exist."]}`},
			{"PATCH", `{"school_id":9223372036854775808}`, `{"school_id":["A valid integer is required."]}`},
			{"PATCH", `{"school_id":0}`, `{"school_id":["Invalid pk \"0\" - object does not exist."]}`},
			{"PATCH", `{"name":{"a":1}}`, `{"name":["Not a valid string."]}`},
		} {
			target := path
			if c.method == "POST" {
				target = "/api/v1/boards"
			}
			b.Call(b.staff, c.method, target, c.body).Want(t, 400, c.want)
		}
		for _, body := range []string{`[]`, `{`, `"x"`, ``, `nul`} {
			if reply := b.Call(b.staff, "POST", "/api/v1/boards", body); reply.Status != 400 {
				t.Errorf("body %q: %d %s", body, reply.Status, reply.Text)
			}
		}
		b.Call(b.staff, "PATCH", path, `{"name":5,"school_id":1.0}`).Want(t, 200, `"name":"5"`)
	})
}

func TestBoardsComeInPages(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		for i := range 5 {
			b.board(t, fmt.Sprintf("b%d", i%3))
		}
		var ids []int64
		next := "/api/v1/boards?page_size=2&ordering=name"
		for next != "" {
			page := apitest.JSON[listing.Page[board.Board]](t, b.Call(t.Context(), "GET", next, "").Want(t, 200, ""))
			if page.Count != 5 {
				t.Fatalf("count %d", page.Count)
			}
			for _, item := range page.Results {
				ids = append(ids, item.ID)
			}
			next = ""
			if page.Next != nil {
				next = *page.Next
				if !strings.HasPrefix(next, "https://example.com/api/v1/boards?") {
					t.Errorf("next is %s", next)
				}
			}
		}
		if want := []int64{4, 1, 5, 2, 3}; !slices.Equal(ids, want) {
			t.Errorf("pages hold %v, want %v", ids, want)
		}
		second := apitest.JSON[listing.Page[board.Board]](t, b.Call(t.Context(), "GET", "/api/v1/boards?page=2&page_size=2", "").Want(t, 200, ""))
		if second.Previous == nil || strings.Contains(*second.Previous, "page=") && !strings.Contains(*second.Previous, "page_size=2") {
			t.Errorf("previous is %v", second.Previous)
		}
		all := apitest.JSON[listing.Page[board.Board]](t, b.Call(t.Context(), "GET", "/api/v1/boards?page_size=1000", "").Want(t, 200, `"next":null,"previous":null`))
		if len(all.Results) != 5 {
			t.Errorf("%d boards", len(all.Results))
		}
		for query, want := range map[string]int64{"?name=b0": 2, "?category=진로&school_id=1": 5, "?school_id=2": 0, "?id=3": 1, "?is_deleted=true": 0} {
			b.Call(t.Context(), "GET", "/api/v1/boards"+query, "").Want(t, 200, fmt.Sprintf(`{"count":%d,`, want))
		}
		exact := strings.ReplaceAll(all.Results[0].CreatedAt.Format(time.RFC3339Nano), "+", "%2B")
		b.Call(t.Context(), "GET", "/api/v1/boards?created_at="+exact, "").Want(t, 200, `{"count":1,`)
		b.Call(t.Context(), "GET", "/api/v1/boards?created_at__lt="+exact, "").Want(t, 200, `{"count":4,`)
		b.Call(t.Context(), "GET", "/api/v1/boards?created_at__gte="+exact, "").Want(t, 200, `{"count":1,`)
		b.Call(t.Context(), "GET", "/api/v1/boards?colour=red", "").Want(t, 400, "colour")
		b.Call(t.Context(), "GET", "/api/v1/boards?ordering=-nope", "").Want(t, 400, "ordering")
	})
}

func TestOnlyOneOfTwoChangesOfTheSameStateWins(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		_, path := b.board(t, "n")
		tag := b.Call(t.Context(), "GET", path, "").Want(t, 200, "").Header.Get("ETag")
		b.Call(t.Context(), "GET", path, "", "If-None-Match", `"x", W/`+tag).Want(t, 304, "")

		const writers = 6
		statuses := make([]int, writers)
		var group sync.WaitGroup
		for i := range writers {
			group.Go(func() {
				statuses[i] = b.Call(b.staff, "PATCH", path, fmt.Sprintf(`{"name":"n%d"}`, i), "If-Match", tag).Status
			})
		}
		group.Wait()
		slices.Sort(statuses)
		if statuses[0] != 200 || statuses[1] != 412 {
			t.Errorf("answers %v, want one 200 and the rest 412", statuses)
		}
		b.Call(b.staff, "PUT", path, `{"category":"c","name":"n","school_id":1}`, "If-Match", tag).Want(t, 412, "")
		b.Call(b.staff, "DELETE", path, "", "If-Match", tag).Want(t, 412, "")
		b.Call(b.staff, "DELETE", path, "", "If-Match", "*").Want(t, 204, "")
	})
}

func TestChangesOfDifferentFieldsAreBothKept(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		_, path := b.board(t, "n")
		var group sync.WaitGroup
		for _, body := range []string{`{"name":"new"}`, `{"category":"other"}`} {
			group.Go(func() { b.Call(b.staff, "PATCH", path, body).Want(t, 200, "") })
		}
		group.Wait()
		b.Call(t.Context(), "GET", path, "").Want(t, 200, `"category":"other","name":"new"`)
	})
}

func TestABoardComesToNoSchoolThatIsBeingDeleted(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		stale := board.New(b.db, func(context.Context, int64) (bool, error) { return true, nil }, time.Now)
		kept, err := stale.Create(b.staff, board.Fields{Category: field.OfText("c"), Name: field.OfText("n"), SchoolID: field.OfInt(1)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.db.ExecContext(t.Context(), "UPDATE schools SET is_deleted = TRUE WHERE id = 2"); err != nil {
			t.Fatal(err)
		}
		gone := board.Fields{Category: field.OfText("c"), Name: field.OfText("n"), SchoolID: field.OfInt(2)}
		if _, err := stale.Create(b.staff, gone); fault.KindOf(err) != fault.Invalid {
			t.Errorf("added: %v", err)
		}
		if _, err := stale.Change(b.staff, kept.ID, gone, false, ""); fault.KindOf(err) != fault.Invalid {
			t.Errorf("moved: %v", err)
		}
		all, err := stale.All(t.Context())
		if err != nil || len(all) != 1 || all[0].SchoolID != 1 {
			t.Errorf("boards %+v, %v", all, err)
		}
	})
}
