package post_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/portico-web/portico/app/post"
	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/internal/apitest"
	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/listing"
	"github.com/portico-web/portico/migrations"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// bench serves posts over two schools with a board each, 1 and 2; board 3 is deleted.
type bench struct {
	*apitest.Server
	db                                           *database.DB
	author, classmate, stranger, homeless, staff context.Context
	authorID                                     uuid.UUID
}

func setup(t *testing.T, url string) bench {
	t.Helper()
	now := time.Now()
	b := bench{}
	b.db = apitest.Database(t, url, func(ctx context.Context, db *database.DB) error {
		if _, err := db.Migrate(ctx, migrations.FS, slog.New(slog.DiscardHandler)); err != nil {
			return err
		}
		_, err := db.ExecContext(ctx, "INSERT INTO schools (id, school_name, created_at, updated_at) VALUES (1, 'A', ?, ?), (2, 'B', ?, ?)", now, now, now, now)
		if err != nil {
			return err
		}
		_, err = db.ExecContext(ctx, `INSERT INTO boards (id, school_id, category, name, is_deleted, created_at, updated_at)
			VALUES (1, 1, 'c', 'n', false, ?, ?), (2, 2, 'c', 'n', false, ?, ?), (3, 1, 'c', 'n', true, ?, ?)`, now, now, now, now, now, now)
		return err
	})
	person := func(nickname string, school int64, staff bool) (context.Context, uuid.UUID) {
		id := uuid.New()
		_, err := b.db.ExecContext(t.Context(), "INSERT INTO users (user_id, email, email_key, password, nickname, created_at, updated_at) VALUES (?, ?, ?, '', ?, ?, ?)",
			id, nickname, nickname, nickname, now, now)
		if err != nil {
			t.Fatal(err)
		}
		return token.WithIdentity(t.Context(), token.Identity{UserID: id, SchoolID: school, Staff: staff}), id
	}
	b.author, b.authorID = person("author", 1, false)
	b.classmate, _ = person("classmate", 1, false)
	b.stranger, _ = person("stranger", 2, false)
	b.homeless, _ = person("homeless", 0, false)
	b.staff, _ = person("staff", 0, true)
	school := func(ctx context.Context, id int64) (int64, error) {
		if id == 1 || id == 2 {
			return id, nil
		}
		return 0, fault.New(fault.NotFound, "Not found.")
	}
	api := post.API{Posts: post.New(b.db, school, time.Now)}
	b.Server = apitest.New(func(a huma.API) {
		const all, one, board = "/api/v1/posts", "/api/v1/posts/{id}", "/api/v1/boards/{id}/posts"
		apitest.Handle(a, http.MethodGet, board, 200, api.BoardList)
		apitest.Handle(a, http.MethodPost, board, 201, api.BoardCreate)
		apitest.Handle(a, http.MethodGet, all, 200, api.List)
		apitest.Handle(a, http.MethodPost, all, 201, api.Create)
		apitest.Handle(a, http.MethodGet, one, 200, api.Read)
		apitest.Handle(a, http.MethodPut, one, 200, api.Replace)
		apitest.Handle(a, http.MethodPatch, one, 200, api.Update)
		apitest.Handle(a, http.MethodDelete, one, 204, api.Delete)
	})
	return b
}

func (b bench) post(t *testing.T, title string, anonymous bool) (post.Post, string) {
	t.Helper()
	body, _ := json.Marshal(map[string]any{"title": title, "content": "content of " + title, "anonymous": anonymous})
	made := apitest.JSON[post.Post](t, b.Call(b.author, "POST", "/api/v1/boards/1/posts", string(body)).Want(t, 201, ""))
	return made, fmt.Sprintf("/api/v1/posts/%d", made.ID)
}

func TestMembersPostAuthorsAndStaffChange(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		const body, loose = `{"title":"t","content":"c"}`, `{"title":"t","content":"c","board_id":1}`
		_, path := b.post(t, "first", false)
		_, second := b.post(t, "second", false)
		for _, c := range []struct {
			name               string
			who                context.Context
			method, path, body string
			status             int
			text               string
		}{
			{"signed out reads", t.Context(), "GET", path, "", 200, ""},
			{"signed out lists", t.Context(), "GET", "/api/v1/posts", "", 200, ""},
			{"signed out lists a board", t.Context(), "GET", "/api/v1/boards/1/posts", "", 200, ""},
			{"signed out posts", t.Context(), "POST", "/api/v1/boards/1/posts", body, 401, "Authentication credentials"},
			{"signed out posts loosely", t.Context(), "POST", "/api/v1/posts", `{}`, 401, ""},
			{"classmate posts", b.classmate, "POST", "/api/v1/boards/1/posts", body, 201, `"nickname":"classmate"`},
			{"classmate posts loosely", b.classmate, "POST", "/api/v1/posts", loose, 201, ""},
			{"stranger posts", b.stranger, "POST", "/api/v1/boards/1/posts", body, 403, "Only members of this board's school may post."},
			{"stranger posts loosely", b.stranger, "POST", "/api/v1/posts", loose, 403, ""},
			{"without a school", b.homeless, "POST", "/api/v1/boards/1/posts", body, 403, "You belong to no school yet"},
			{"staff without a school", b.staff, "POST", "/api/v1/boards/1/posts", body, 403, ""},
			{"on no board", b.classmate, "POST", "/api/v1/boards/77/posts", body, 404, ""},
			{"on a deleted board", b.classmate, "POST", "/api/v1/boards/3/posts", body, 404, ""},
			{"loosely on no board", b.classmate, "POST", "/api/v1/posts", `{"board_id":77,"title":"t"}`, 400,
				`{"board_id":["Invalid pk \"77\" - object does not exist."],"content":["This field is required."]}`},
			{"signed out changes", t.Context(), "PATCH", path, body, 401, ""},
			{"signed out deletes", t.Context(), "DELETE", path, "", 401, ""},
			{"classmate changes", b.classmate, "PATCH", path, body, 403, ""},
			{"classmate replaces", b.classmate, "PUT", path, body, 403, ""},
			{"classmate deletes", b.classmate, "DELETE", path, "", 403, ""},
			{"author replaces", b.author, "PUT", path, `{"title":"u","content":"c","board_id":2,"user":null}`, 200, `"board_id":1`},
			{"author replaces half", b.author, "PUT", path, `{"title":"u"}`, 400, `{"content":["This field is required."]}`},
			{"author changes", b.author, "PATCH", path, `{"title":"v"}`, 200, `"title":"v"`},
			{"staff changes", b.staff, "PATCH", path, `{"title":"w"}`, 200, `"is_mine":false`},
			{"author deletes", b.author, "DELETE", path, "", 204, ""},
			{"staff deletes", b.staff, "DELETE", second, "", 204, ""},
			{"gone", b.author, "GET", path, "", 404, `{"detail":"Not found."}`},
			{"gone for changes", b.author, "PATCH", path, `{}`, 404, ""},
			{"gone for staff", b.staff, "DELETE", second, "", 404, ""},
		} {
			reply := b.Call(c.who, c.method, c.path, c.body)
			if reply.Status != c.status || !strings.Contains(reply.Text, c.text) {
				t.Errorf("%s: %d %s, want %d with %s", c.name, reply.Status, reply.Text, c.status, c.text)
			}
		}
	})
}

func TestAnAnonymousAuthorStaysUnknown(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		made, path := b.post(t, "secret", true)
		b.post(t, "open", false)
		if made.User != nil || !made.IsMine {
			t.Errorf("the author sees %+v", made)
		}
		own := "/api/v1/posts?user_id=" + b.authorID.String()
		for name, who := range map[string]context.Context{"signed out": t.Context(), "classmate": b.classmate, "staff": b.staff} {
			for _, target := range []string{path, "/api/v1/posts?anonymous=true", "/api/v1/boards/1/posts?title=secret"} {
				reply := b.Call(who, "GET", target, "").Want(t, 200, "secret")
				if strings.Contains(reply.Text, b.authorID.String()) || strings.Contains(reply.Text, `"author"`) || strings.Contains(reply.Text, `"is_mine":true`) {
					t.Errorf("%s learns from %s who wrote it: %s", name, target, reply.Text)
				}
			}
			if reply := b.Call(who, "GET", own, "").Want(t, 200, `{"count":1,`); strings.Contains(reply.Text, "secret") {
				t.Errorf("%s finds the anonymous post by its author: %s", name, reply.Text)
			}
			b.Call(who, "GET", "/api/v1/posts?ordering=user_id", "").Want(t, 400, "ordering")
		}
		b.Call(b.author, "GET", own, "").Want(t, 200, `{"count":2,`)
		b.Call(b.author, "GET", "/api/v1/posts?is_mine=true", "").Want(t, 200, `{"count":2,`)
		b.Call(b.staff, "GET", "/api/v1/posts?is_mine=true", "").Want(t, 200, `{"count":0,`)
		b.Call(t.Context(), "GET", "/api/v1/posts?is_mine=true", "").Want(t, 200, `{"count":0,`)
		b.Call(b.staff, "PATCH", path, `{"anonymous":false}`).Want(t, 403, "Only the author")
		if reply := b.Call(b.staff, "PATCH", path, `{"title":"secret, edited"}`).Want(t, 200, `"user":null`); strings.Contains(reply.Text, b.authorID.String()) {
			t.Errorf("staff learn who wrote it by editing: %s", reply.Text)
		}
		b.Call(b.author, "PATCH", path, `{"anonymous":"off"}`).Want(t, 200, `"nickname":"author"`)
	})
}

func TestPostTextsAreChecked(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		long := func(n int) string { return strings.Repeat("글", n) }
		for _, c := range []struct {
			body   string
			status int
			text   string
		}{
			{`{"title":"` + long(200) + `","content":"` + long(20000) + `"}`, 201, ""},
			{`{"title":"` + long(201) + `","content":"` + long(20001) + `"}`, 400,
				`{"content":["Ensure this field has no more than 20000 characters."],"title":["Ensure this field has no more than 200 characters."]}`},
			{`{"title":" \t ","content":"\n"}`, 400, `{"content":["This field may not be blank."],"title":["This field may not be blank."]}`},
			{`{"title":"a","content":"x\u0000y"}`, 400, `{"content":["Null characters are not allowed."]}`},
			{`{"title":"a","content":"b","anonymous":"maybe"}`, 400, `{"anonymous":["Must be a valid boolean."]}`},
			{`{"title":"a","content":"b","anonymous":null}`, 400, `{"anonymous":["This field may not be null."]}`},
			{`{"title":"a","content":"b","anonymous":{}}`, 400, `{"anonymous":["Must be a valid boolean."]}`},
			{`{"title":"a","content":"l1\r\nl2","anonymous":1}`, 201, `"content":"l1\nl2","anonymous":true`},
			{`{"title":"<script>alert(1)</script>","content":"\ud800 \ud83d\ude00"}`, 201, `\u003cscript`},
		} {
			reply := b.Call(b.author, "POST", "/api/v1/boards/1/posts", c.body)
			if reply.Status != c.status || !strings.Contains(strings.ReplaceAll(reply.Text, "<script", `\u003cscript`), c.text) {
				t.Errorf("%.60s: %d %.300s, want %d with %s", c.body, reply.Status, reply.Text, c.status, c.text)
			}
		}
	})
}

func TestPostsAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		for i := range 4 {
			b.post(t, fmt.Sprint("p", i%2), i == 3)
		}
		b.Call(b.stranger, "POST", "/api/v1/boards/2/posts", `{"title":"far","content":"c"}`).Want(t, 201, "")
		for _, c := range []struct {
			target string
			want   []int64
		}{
			{"/api/v1/posts", []int64{5, 4, 3, 2, 1}},
			{"/api/v1/boards/1/posts", []int64{4, 3, 2, 1}},
			{"/api/v1/boards/1/posts?page_size=3&page=2", []int64{1}},
			{"/api/v1/boards/1/posts?board_id=1&ordering=title,-id", []int64{3, 1, 4, 2}},
			{"/api/v1/posts?school_id=2", []int64{5}},
			{"/api/v1/posts?board_id=1&anonymous=true", []int64{4}},
			{"/api/v1/posts?title=p1&ordering=created_at", []int64{2, 4}},
			{"/api/v1/posts?content=c", []int64{5}},
			{"/api/v1/posts?id=3", []int64{3}},
			{"/api/v1/posts?user_id=" + b.authorID.String(), []int64{3, 2, 1}},
			{"/api/v1/posts?user_id=" + uuid.Nil.String(), nil},
		} {
			page := apitest.JSON[listing.Page[post.Post]](t, b.Call(t.Context(), "GET", c.target, "").Want(t, 200, ""))
			var got []int64
			for _, item := range page.Results {
				got = append(got, item.ID)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, want %v", c.target, got, c.want)
			}
		}
		for _, bad := range []string{"?user_id=x", "?nope=", "?anonymous=2", "?board_id=1.5", "?updated_at__lt=x"} {
			b.Call(t.Context(), "GET", "/api/v1/posts"+bad, "").Want(t, 400, "")
		}
		b.Call(t.Context(), "GET", "/api/v1/boards/1/posts?board_id=2", "").Want(t, 400, "board_id")
		b.Call(t.Context(), "GET", "/api/v1/boards/3/posts", "").Want(t, 404, "")
		b.Call(t.Context(), "GET", "/api/v1/boards/x/posts", "").Want(t, 404, "")
	})
}

func TestPostsOfADeletedBoardAreGone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		_, path := b.post(t, "p", false)
		if _, err := b.db.ExecContext(t.Context(), "UPDATE boards SET is_deleted = true WHERE id = 1"); err != nil {
			t.Fatal(err)
		}
		b.Call(b.author, "GET", path, "").Want(t, 404, "")
		b.Call(b.author, "PATCH", path, `{}`).Want(t, 404, "")
		b.Call(t.Context(), "GET", "/api/v1/posts", "").Want(t, 200, `{"count":0,`)
	})
}

func TestAPostChangedMeanwhileIsNotOverwritten(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		_, path := b.post(t, "p", true)
		read := func(who context.Context) string {
			return b.Call(who, "GET", path, "").Want(t, 200, "").Header.Get("ETag")
		}
		mine, theirs := read(b.author), read(b.staff)
		if mine == theirs {
			t.Error("the author's and another's view of a post have the same ETag")
		}
		b.Call(b.author, "GET", path, "", "If-None-Match", theirs).Want(t, 200, "")
		b.Call(b.author, "GET", path, "", "If-None-Match", mine).Want(t, 304, "")
		fresh := b.Call(b.author, "PATCH", path, `{"title":"q"}`, "If-Match", mine).Want(t, 200, "").Header.Get("ETag")
		b.Call(b.staff, "PATCH", path, `{"title":"r"}`, "If-Match", theirs).Want(t, 412, "This has been changed since you read it.")
		b.Call(b.author, "PUT", path, `{"title":"r","content":"c"}`, "If-Match", mine).Want(t, 412, "")
		b.Call(b.author, "DELETE", path, "", "If-Match", mine).Want(t, 412, "")
		if read(b.author) != fresh {
			t.Error("the ETag of a change is not that of a later read")
		}
		b.Call(b.author, "DELETE", path, "", "If-Match", fresh).Want(t, 204, "")
	})
}

func TestAPersonWhoLeftCannotPost(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		left := token.WithIdentity(t.Context(), token.Identity{UserID: uuid.New(), SchoolID: 1})
		b.Call(left, "POST", "/api/v1/boards/1/posts", `{"title":"t","content":"c"}`).Want(t, 401, "User not found")
	})
}
