// Package apitest serves a domain's huma handlers to its tests as the application does: gorilla/mux, languages, clients, and
// faults in Django REST framework's shape. Only tests import it.
package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/lang"
)

// answer is an error as it is answered.
type answer struct {
	fault *fault.Error
	body  map[string]any
}

func newAnswer(ctx context.Context, err *fault.Error) *answer {
	return &answer{err, httpx.ErrorBody(ctx, err)}
}

func (a *answer) Error() string                { return a.fault.Error() }
func (a *answer) GetStatus() int               { return httpx.Status(a.fault.Kind) }
func (a *answer) MarshalJSON() ([]byte, error) { return json.Marshal(a.body) }

func init() {
	huma.NewErrorWithContext = func(ctx huma.Context, _ int, message string, details ...error) huma.StatusError {
		refused := &fault.Error{Kind: fault.Invalid, Message: message}
		for _, detail := range details {
			if known, ok := errors.AsType[*fault.Error](detail); ok {
				return newAnswer(ctx.Context(), known)
			}
			found, ok := errors.AsType[*huma.ErrorDetail](detail)
			if !ok {
				return newAnswer(ctx.Context(), fault.Wrap(fault.Internal, "", detail))
			}
			where, field, _ := strings.Cut(found.Location, ".")
			if where == "path" {
				return newAnswer(ctx.Context(), fault.New(fault.NotFound, "Not found."))
			}
			_ = refused.With(field, found.Message)
		}
		return newAnswer(ctx.Context(), refused)
	}
}

// Server is an API under test.
type Server struct {
	API     huma.API
	handler http.Handler
}

// New serves what register adds to the API.
func New(register func(api huma.API)) *Server {
	router := mux.NewRouter()
	config := huma.DefaultConfig("test", "1")
	config.CreateHooks = nil // no $schema in answers
	api := humamux.New(router, config)
	register(api)
	handler := httpx.WithClient([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}, lang.WithLang(router))
	return &Server{API: api, handler: handler}
}

// Handle registers a handler as app does; status is that of success.
func Handle[I, O any](api huma.API, method, path string, status int, handler func(context.Context, *I) (*O, error)) {
	huma.Register(api, huma.Operation{OperationID: method + path, Method: method, Path: path, DefaultStatus: status},
		func(ctx context.Context, in *I) (*O, error) {
			out, err := handler(ctx, in)
			if err != nil {
				return nil, newAnswer(ctx, httpx.Safe(ctx, slog.Default(), err))
			}
			return out, nil
		})
}

// Reply is what a request was answered.
type Reply struct {
	Status int
	Header http.Header
	Text   string
}

// Call sends a request with ctx's values; body is JSON text or empty, headers come in pairs of name and value.
func (s *Server) Call(ctx context.Context, method, target, body string, headers ...string) Reply {
	var content io.Reader = http.NoBody
	if body != "" {
		content = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(ctx, method, target, content)
	r.Header.Set("X-Forwarded-Proto", "https")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return Reply{Status: w.Code, Header: w.Header(), Text: strings.TrimSpace(w.Body.String())}
}

// JSON is the body of a reply as T.
func JSON[T any](t testing.TB, reply Reply) T {
	t.Helper()
	var value T
	decoder := json.NewDecoder(bytes.NewReader([]byte(reply.Text)))
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("answer %d %q is not the JSON expected: %v", reply.Status, reply.Text, err)
	}
	return value
}

// Want fails the test unless the reply has this status and, when contains is not empty, this text in its body.
func (r Reply) Want(t testing.TB, status int, contains string) Reply {
	t.Helper()
	if r.Status != status || !strings.Contains(r.Text, contains) {
		t.Fatalf("answer %d %s, want %d with %s", r.Status, r.Text, status, contains)
	}
	return r
}

// Database is the database at url, migrated with files.
func Database(t testing.TB, url string, migrate func(context.Context, *database.DB) error) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), url, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	return db
}
