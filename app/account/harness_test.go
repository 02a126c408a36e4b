package account_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"
	"github.com/riverqueue/river"

	"github.com/portico-web/portico/app/account"
	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/lang"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/internal/queue"
	"github.com/portico-web/portico/migrations"
)

const (
	secret   = "a secret for tests, of thirty-two bytes and more"
	host     = "portico.test"
	password = "correct-horse-battery"
)

func TestMain(m *testing.M) {
	// The application answers huma's own refusals in Django's shape; here their status is enough.
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, details ...error) huma.StatusError {
		err := fault.New(fault.Invalid, message)
		for _, detail := range details {
			if found, ok := errors.AsType[*fault.Error](detail); ok {
				err = found
			}
		}
		if status == http.StatusInternalServerError && err.Kind == fault.Invalid {
			err.Kind = fault.Internal
		}
		for name, values := range httpx.ErrorHeaders(err) {
			ctx.SetHeader(name, values[0])
		}
		return &refusal{err, httpx.ErrorBody(ctx.Context(), err)}
	}
	dbtest.Main(m)
}

type refusal struct {
	fault *fault.Error
	body  map[string]any
}

func (r *refusal) Error() string                { return r.fault.Error() }
func (r *refusal) GetStatus() int               { return httpx.Status(r.fault.Kind) }
func (r *refusal) MarshalJSON() ([]byte, error) { return json.Marshal(r.body) }

// clock is a time of day that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// bench is the account API with everything it works with.
type bench struct {
	t        testing.TB
	db       *database.DB
	jobs     *queue.Client
	clock    *clock
	config   account.Config
	accounts *account.Service
	handler  http.Handler
}

// each runs test on both databases; change may alter the configuration.
func each(t *testing.T, change func(*account.Config), test func(t *testing.T, b *bench)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, url string) { test(t, setUp(t, url, change)) })
}

// one runs test on SQLite, where the database makes no difference.
func one(t *testing.T, change func(*account.Config), test func(t *testing.T, b *bench)) {
	t.Helper()
	test(t, setUp(t, dbtest.SQLite(t), change))
}

// migrated is a SQLite file with all tables and no rows. Copying it takes less time than migrating again.
var migrated = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "account-test-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "migrated.db")
	db, err := open(context.Background(), "sqlite://"+path)
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// open opens a database and brings it to the newest schema.
func open(ctx context.Context, url string) (*database.DB, error) {
	db, err := database.Open(ctx, url, 0)
	if err != nil {
		return nil, err
	}
	if _, err := db.Migrate(ctx, migrations.FS, logging.Discard()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func setUp(t testing.TB, url string, change func(*account.Config)) *bench {
	t.Helper()
	if path, ok := strings.CutPrefix(url, "sqlite://"); ok {
		file, err := migrated()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db, err := open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	jobs, err := queue.New(db, &river.Config{Logger: logging.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, db: db, jobs: jobs, clock: &clock{now: time.Date(2026, 11, 20, 3, 4, 5, 678_901_000, time.UTC)}}
	b.config = account.Config{
		DB: db, Jobs: jobs, Log: logging.Discard(), Clock: b.clock.Now, Secure: true, HTTPOnly: true,
		AccessLifetime: 5 * time.Minute, RefreshLifetime: 24 * time.Hour,
		CSRFTrustedOrigins: []string{"https://friend.example", "https://*.wild.example"},
	}
	if change != nil {
		change(&b.config)
	}
	b.restart(secret)
	return b
}

// restart makes the service anew, as a process does that was given these secrets.
func (b *bench) restart(secret string, older ...string) {
	keys, err := token.NewKeys(secret, older...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.config.Keys = keys
	b.accounts = account.New(b.config)
	b.handler = serve(b.accounts)
}

func serve(accounts *account.Service) http.Handler {
	router := mux.NewRouter()
	config := huma.DefaultConfig("Accounts", "1")
	config.CreateHooks = nil
	api := humamux.New(router, config)
	handlers := &account.API{Accounts: accounts}
	route(api, http.MethodPost, "/accounts/registration/", handlers.Register)
	route(api, http.MethodPost, "/accounts/login/", handlers.Login)
	route(api, http.MethodPost, "/accounts/logout/", handlers.Logout)
	route(api, http.MethodPost, "/accounts/token/refresh/", handlers.Refresh)
	route(api, http.MethodPost, "/accounts/token/verify/", handlers.Verify)
	route(api, http.MethodGet, "/accounts/user/", handlers.User)
	route(api, http.MethodPut, "/accounts/user/", handlers.ReplaceUser)
	route(api, http.MethodPatch, "/accounts/user/", handlers.UpdateUser)
	route(api, http.MethodGet, "/.well-known/jwks.json", handlers.JWKS)
	handler := accounts.Authenticate(router)
	handler = httpx.FormToJSON(handler)
	handler = lang.WithLang(handler)
	trusted := []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")} // httptest's address of a peer
	return httpx.WithClient(trusted, handler)
}

func route[I, O any](api huma.API, method, path string, handler func(context.Context, *I) (*O, error)) {
	huma.Register(api, huma.Operation{OperationID: method + path, Method: method, Path: path},
		func(ctx context.Context, in *I) (*O, error) {
			out, err := handler(ctx, in)
			if err != nil {
				safe := httpx.Safe(ctx, slog.New(slog.DiscardHandler), err)
				return nil, huma.ErrorWithHeaders(&refusal{safe, httpx.ErrorBody(ctx, safe)}, httpx.ErrorHeaders(safe))
			}
			return out, nil
		})
}

// browser keeps cookies, as browsers do.
type browser struct {
	b       *bench
	cookies map[string]string
	header  http.Header
}

func (b *bench) browser() *browser {
	return &browser{b: b, cookies: map[string]string{}, header: http.Header{}}
}

// answer is a response with its body read.
type answer struct {
	t       testing.TB
	Status  int
	Header  http.Header
	Body    map[string]any
	Raw     string
	Cookies map[string]*http.Cookie
}

// do sends body as JSON, or, when it is url.Values, as a form, or, when it is a string, as it is.
func (br *browser) do(method, path string, body any) answer {
	br.b.t.Helper()
	var content []byte
	kind := "application/json"
	switch body := body.(type) {
	case nil:
		kind = ""
	case string:
		content = []byte(body)
	case url.Values:
		content, kind = []byte(body.Encode()), "application/x-www-form-urlencoded"
	default:
		var err error
		if content, err = json.Marshal(body); err != nil {
			br.b.t.Fatal(err)
		}
	}
	r := httptest.NewRequestWithContext(br.b.t.Context(), method, "https://"+host+path, bytes.NewReader(content))
	r.TLS = nil
	r.Header.Set("X-Forwarded-For", "203.0.113.7")
	r.Header.Set("X-Forwarded-Proto", "https")
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	maps.Copy(r.Header, br.header)
	for name, value := range br.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	br.b.handler.ServeHTTP(w, r)
	got := answer{t: br.b.t, Status: w.Code, Header: w.Header(), Raw: w.Body.String(), Cookies: map[string]*http.Cookie{}}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &got.Body); err != nil {
			br.b.t.Errorf("%s %s answered no JSON object: %s", method, path, got.Raw)
		}
	}
	for _, cookie := range w.Result().Cookies() {
		got.Cookies[cookie.Name] = cookie
		if cookie.MaxAge < 0 {
			delete(br.cookies, cookie.Name)
		} else {
			br.cookies[cookie.Name] = cookie.Value
		}
	}
	return got
}

func (br *browser) post(path string, body any) answer {
	br.b.t.Helper()
	return br.do(http.MethodPost, path, body)
}

// want checks the status and returns the answer.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.Status != status {
		a.t.Fatalf("status %d, want %d; body %s", a.Status, status, a.Raw)
	}
	return a
}

// says checks that the body is this JSON.
func (a answer) says(want string) answer {
	a.t.Helper()
	var wanted map[string]any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		a.t.Fatal(err)
	}
	got, _ := json.Marshal(a.Body)
	wantedText, _ := json.Marshal(wanted)
	if !bytes.Equal(got, wantedText) {
		a.t.Errorf("body %s, want %s", got, wantedText)
	}
	return a
}

func (a answer) text(key string) string {
	a.t.Helper()
	value, ok := a.Body[key].(string)
	if !ok {
		a.t.Fatalf("no text %q in %s", key, a.Raw)
	}
	return value
}

type object = map[string]any

// register makes an account and returns the browser in which it is signed in.
func (b *bench) register(email string) *browser {
	b.t.Helper()
	br := b.browser()
	br.post("/accounts/registration/", object{"email": email, "password1": password, "password2": password}).want(http.StatusCreated)
	return br
}

// exec changes the database behind the service's back.
func (b *bench) exec(query string, values ...any) {
	b.t.Helper()
	if _, err := b.db.ExecContext(b.t.Context(), query, values...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) count(table, where string, values ...any) int64 {
	b.t.Helper()
	count, err := b.db.NewSelect().Table(table).Where(where, values...).Count(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return count
}

func (b *bench) school(name string, deleted bool) int64 {
	b.t.Helper()
	now := b.clock.Now()
	var id int64
	err := b.db.NewRaw("INSERT INTO schools (school_name, is_deleted, created_at, updated_at) VALUES (?, ?, ?, ?) RETURNING id",
		name, deleted, now, now).Scan(b.t.Context(), &id)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

const (
	notValid    = `{"detail":"Token is invalid","code":"token_not_valid"}`
	expired     = `{"detail":"Token is expired","code":"token_not_valid"}`
	blacklisted = `{"detail":"Token is blacklisted","code":"token_not_valid"}`
	wrongType   = `{"detail":"Token has wrong type","code":"token_not_valid"}`
	noToken     = `{"detail":"No valid refresh token found.","code":"token_not_valid"}`
	wrongLogin  = `{"non_field_errors":["Unable to log in with provided credentials."]}`
)
