package web_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"
	"github.com/riverqueue/river"

	"github.com/portico-web/portico/app/account"
	"github.com/portico-web/portico/app/board"
	"github.com/portico-web/portico/app/mailbox"
	"github.com/portico-web/portico/app/post"
	"github.com/portico-web/portico/app/school"
	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/app/web"
	"github.com/portico-web/portico/internal/apitest"
	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/field"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/lang"
	"github.com/portico-web/portico/internal/queue"
	"github.com/portico-web/portico/migrations"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const password = "correct-horse-battery"

// site is the pages, served over TLS with everything that stands before them.
type site struct {
	*httptest.Server
	db       *database.DB
	accounts *account.Service
	schools  *school.Schools
	boards   *board.Boards
	posts    *post.Posts
	mailbox  *mailbox.Store
	staff    context.Context
}

func serve(t *testing.T, databaseURL string) *site {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	s := &site{}
	s.db = apitest.Database(t, databaseURL, func(ctx context.Context, db *database.DB) error {
		_, err := db.Migrate(ctx, migrations.FS, quiet)
		return err
	})
	jobs, err := queue.New(s.db, &river.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := token.NewKeys("a secret for tests, of thirty-two bytes and more")
	if err != nil {
		t.Fatal(err)
	}
	s.accounts = account.New(account.Config{DB: s.db, Jobs: jobs, Keys: keys, Log: quiet, Secure: true, HTTPOnly: true})
	s.schools = school.New(s.db, time.Now)
	s.boards = board.New(s.db, s.schools.Exists, time.Now)
	s.posts = post.New(s.db, s.boards.School, time.Now)
	s.mailbox = mailbox.New(s.db)

	router := mux.NewRouter()
	config := huma.DefaultConfig("Portico", "1.2.3")
	config.OpenAPIPath, config.DocsPath, config.SchemasPath, config.CreateHooks = "/api/openapi", "", "", nil
	api := humamux.New(router, config)
	posts := post.API{Posts: s.posts}
	apitest.Handle(api, "GET", "/api/v1/posts", 200, posts.List)
	apitest.Handle(api, "POST", "/api/v1/posts", 201, posts.Create)
	apitest.Handle(api, "PATCH", "/api/v1/posts/{id}", 200, posts.Update)
	pages, err := web.New(web.Config{
		Accounts: s.accounts, Schools: s.schools, Boards: s.boards, Posts: s.posts, OpenAPI: api.OpenAPI, Log: quiet, Secure: true,
		Mailbox: s.mailbox, MailboxAllow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	})
	if err != nil {
		t.Fatal(err)
	}
	pages.Register(router)
	router.NotFoundHandler = http.HandlerFunc(pages.NotFound)
	router.MethodNotAllowedHandler = http.HandlerFunc(pages.MethodNotAllowed)
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	handler := httpx.WithRequest(httpx.WithClient(trusted, lang.WithLang(s.accounts.Authenticate(router))))
	s.Server = httptest.NewTLSServer(handler)
	t.Cleanup(s.Close)

	admin, _, err := s.accounts.CreateAdmin(t.Context(), "admin@example.com", password)
	if err != nil {
		t.Fatal(err)
	}
	s.staff = token.WithIdentity(t.Context(), token.Identity{UserID: admin.ID, Staff: true})
	return s
}

// campus adds a school with a board and returns their numbers.
func (s *site) campus(t *testing.T, name string) (schoolID, boardID int64) {
	t.Helper()
	made, err := s.schools.Create(s.staff, school.Fields{SchoolName: field.OfText(name)})
	if err != nil {
		t.Fatal(err)
	}
	home, err := s.boards.Create(s.staff, board.Fields{Category: field.OfText("자유"), Name: field.OfText(name + " 게시판"), SchoolID: field.OfInt(made.ID)})
	if err != nil {
		t.Fatal(err)
	}
	return made.ID, home.ID
}

// browser is a browser without JavaScript: it keeps cookies and fills in the forms that it sees.
type browser struct {
	t       testing.TB
	site    *site
	client  *http.Client
	headers map[string]string
	path    string // of the page shown
	status  int
	header  http.Header
	text    string
}

func (s *site) browser(t testing.TB, headers ...string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := *s.Client()
	client.Jar = jar
	b := &browser{t: t, site: s, client: &client, headers: map[string]string{}}
	for i := 0; i < len(headers); i += 2 {
		b.headers[headers[i]] = headers[i+1]
	}
	return b
}

func (b *browser) send(method, path string, form url.Values) *browser {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.site.URL+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range b.headers {
		r.Header.Set(name, value)
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.path, b.status, b.header, b.text = response.Request.URL.RequestURI(), response.StatusCode, response.Header, string(text)
	return b
}

// open shows a page.
func (b *browser) open(path string) *browser {
	b.t.Helper()
	return b.send(http.MethodGet, path, nil)
}

var (
	formPattern   = regexp.MustCompile(`(?s)<form[^>]*method="post" action="([^"]*)"[^>]*>(.*?)</form>`)
	hiddenPattern = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// submit fills in the form of the page shown whose action is this path and sends it with its hidden fields.
func (b *browser) submit(action string, pairs ...string) *browser {
	b.t.Helper()
	for _, found := range formPattern.FindAllStringSubmatch(b.text, -1) {
		if found[1] != action {
			continue
		}
		form := url.Values{}
		for _, hidden := range hiddenPattern.FindAllStringSubmatch(found[2], -1) {
			form.Set(hidden[1], strings.NewReplacer("&#34;", `"`, "&#43;", "+", "&amp;", "&").Replace(hidden[2]))
		}
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
		return b.send(http.MethodPost, action, form)
	}
	b.t.Fatalf("the page %s has no form for %s:\n%s", b.path, action, b.text)
	return nil
}

// want fails the test unless the page has this status and holds all these texts.
func (b *browser) want(status int, texts ...string) *browser {
	b.t.Helper()
	if b.status != status {
		b.t.Fatalf("%s: status %d, want %d:\n%s", b.path, b.status, status, b.text)
	}
	for _, text := range texts {
		if !strings.Contains(b.text, text) {
			b.t.Fatalf("%s: %q is missing:\n%s", b.path, text, b.text)
		}
	}
	return b
}

// lacks fails the test if the page holds the text.
func (b *browser) lacks(text string) *browser {
	b.t.Helper()
	if strings.Contains(b.text, text) {
		b.t.Fatalf("%s: %q is there:\n%s", b.path, text, b.text)
	}
	return b
}

// at fails the test unless the page shown lives here.
func (b *browser) at(path string) *browser {
	b.t.Helper()
	if b.path != path {
		b.t.Fatalf("the browser is at %s, want %s", b.path, path)
	}
	return b
}

// cookie is the value of a cookie that the browser holds.
func (b *browser) cookie(name string) string {
	address, err := url.Parse(b.site.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, cookie := range b.client.Jar.Cookies(address) {
		if cookie.Name == name {
			return cookie.Value
		}
	}
	return ""
}

// forget drops a cookie.
func (b *browser) forget(name string) {
	address, err := url.Parse(b.site.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	b.client.Jar.SetCookies(address, []*http.Cookie{{Name: name, Path: "/", MaxAge: -1}})
}

// member signs up and leaves the browser on the front page.
func (s *site) member(t testing.TB, nickname, schoolID string) *browser {
	t.Helper()
	b := s.browser(t)
	b.open("/signup/").submit("/signup/", "school_id", schoolID, "nickname", nickname, "email", nickname+"@example.com", "password1", password, "password2", password)
	return b.want(200, nickname, "Welcome!").at("/")
}
