package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"

	"github.com/portico-web/portico/app/account"
	"github.com/portico-web/portico/app/board"
	"github.com/portico-web/portico/app/post"
	"github.com/portico-web/portico/app/school"
	"github.com/portico-web/portico/app/web"
	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/lang"
)

// apis are the JSON endpoints of the domains.
type apis struct {
	accounts *account.API
	schools  school.API
	boards   board.API
	posts    post.API
}

// routes lists every JSON endpoint there is. Pages list theirs in app/web.
func (d apis) routes(r registrar) {
	add(r, "Accounts", "POST /accounts/registration/", 201, d.accounts.Register, "Register and sign in")
	add(r, "Accounts", "POST /accounts/login/", 200, d.accounts.Login, "Sign in")
	add(r, "Accounts", "POST /accounts/logout/", 200, d.accounts.Logout, "Sign out")
	add(r, "Accounts", "POST /accounts/token/refresh/", 200, d.accounts.Refresh, "Trade a refresh token for a new pair")
	add(r, "Accounts", "POST /accounts/token/verify/", 200, d.accounts.Verify, "Check a token")
	add(r, "Accounts", "GET /accounts/user/", 200, d.accounts.User, "Show the person signed in")
	add(r, "Accounts", "PUT /accounts/user/", 200, d.accounts.ReplaceUser, "Replace the data of the person signed in")
	add(r, "Accounts", "PATCH /accounts/user/", 200, d.accounts.UpdateUser, "Change data of the person signed in")
	add(r, "Accounts", "GET /.well-known/jwks.json", 200, d.accounts.JWKS, "Show the public keys that tokens are signed with")

	add(r, "Schools", "GET /api/v1/schools", 200, d.schools.List, "List schools")
	add(r, "Schools", "POST /api/v1/schools", 201, d.schools.Create, "Make a school (staff)")
	add(r, "Schools", "GET /api/v1/schools/{id}", 200, d.schools.Read, "Show a school")
	add(r, "Schools", "PUT /api/v1/schools/{id}", 200, d.schools.Replace, "Replace a school (staff)")
	add(r, "Schools", "PATCH /api/v1/schools/{id}", 200, d.schools.Update, "Change a school (staff)")
	add(r, "Schools", "DELETE /api/v1/schools/{id}", 204, d.schools.Delete, "Delete a school (staff)")

	add(r, "Boards", "GET /api/v1/boards", 200, d.boards.List, "List boards")
	add(r, "Boards", "POST /api/v1/boards", 201, d.boards.Create, "Make a board (staff)")
	add(r, "Boards", "GET /api/v1/boards/{id}", 200, d.boards.Read, "Show a board")
	add(r, "Boards", "PUT /api/v1/boards/{id}", 200, d.boards.Replace, "Replace a board (staff)")
	add(r, "Boards", "PATCH /api/v1/boards/{id}", 200, d.boards.Update, "Change a board (staff)")
	add(r, "Boards", "DELETE /api/v1/boards/{id}", 204, d.boards.Delete, "Delete a board (staff)")

	add(r, "Posts", "GET /api/v1/boards/{id}/posts", 200, d.posts.BoardList, "List the posts of a board")
	add(r, "Posts", "POST /api/v1/boards/{id}/posts", 201, d.posts.BoardCreate, "Post to a board of one's school")
	add(r, "Posts", "GET /api/v1/posts", 200, d.posts.List, "List posts")
	add(r, "Posts", "POST /api/v1/posts", 201, d.posts.Create, "Post to a board of one's school")
	add(r, "Posts", "GET /api/v1/posts/{id}", 200, d.posts.Read, "Show a post")
	add(r, "Posts", "PUT /api/v1/posts/{id}", 200, d.posts.Replace, "Replace a post (its author, or staff)")
	add(r, "Posts", "PATCH /api/v1/posts/{id}", 200, d.posts.Update, "Change a post (its author, or staff)")
	add(r, "Posts", "DELETE /api/v1/posts/{id}", 204, d.posts.Delete, "Delete a post (its author, or staff)")

	add(r, "Boards, earlier paths", "GET /board/", 200, d.boards.LegacyList, "List boards as a plain array")
	add(r, "Boards, earlier paths", "POST /board/", 201, d.boards.LegacyCreate, "Make a board (staff)")
	add(r, "Boards, earlier paths", "GET /board/{id}/", 200, d.boards.Read, "Show a board")
	add(r, "Boards, earlier paths", "PUT /board/{id}/", 200, d.boards.Replace, "Replace a board (staff)")
	add(r, "Boards, earlier paths", "PATCH /board/{id}/", 200, d.boards.Update, "Change a board (staff)")
	add(r, "Boards, earlier paths", "DELETE /board/{id}/", 204, d.boards.Delete, "Delete a board (staff)")
}

// registrar is where add puts endpoints.
type registrar struct {
	api huma.API
	log *slog.Logger
}

// add registers one endpoint: route is its method and path, status what it answers when all goes well.
func add[I, O any](r registrar, tag, route string, status int, handler func(context.Context, *I) (*O, error), summary string) {
	method, path, _ := strings.Cut(route, " ")
	operation := huma.Operation{
		OperationID: operationID(method, path), Method: method, Path: path, Tags: []string{tag},
		Summary: summary, DefaultStatus: status, MaxBodyBytes: maxBody, BodyReadTimeout: bodyTimeout,
		Responses: map[string]*huma.Response{}, Errors: errorsOf(method),
		// The endpoints of the earlier systems ignore what they do not know, as Django REST framework does.
		RejectUnknownQueryParameters: strings.HasPrefix(path, "/api/"),
	}
	if needsSignIn(method, path) {
		operation.Security = []map[string][]string{{"bearer": {}}}
	}
	huma.Register(r.api, operation, answering(r.log, handler))
	delete(operation.Responses, "422") // huma's status for what is answered 400 here
}

// operationID makes "get-api-v1-boards-id" of "GET /api/v1/boards/{id}"; a trailing slash tells two of one path apart.
func operationID(method, path string) string {
	words := strings.FieldsFunc(path, func(c rune) bool { return strings.ContainsRune("/{}.", c) })
	return strings.ToLower(method) + "-" + strings.Join(words, "-")
}

// needsSignIn tells for the document which endpoints are for people signed in; the domains see to it.
func needsSignIn(method, path string) bool {
	return path == "/accounts/user/" || method != http.MethodGet && !strings.HasPrefix(path, "/accounts/")
}

func errorsOf(method string) []int {
	if method == http.MethodGet {
		return []int{400, 404, 429}
	}
	return []int{400, 401, 403, 404, 409, 412, 413, 415, 429}
}

// newAPI makes huma's API on router, with its OpenAPI document at /api/openapi.json.
func newAPI(router *mux.Router, version string) huma.API {
	config := huma.DefaultConfig("Portico", version)
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "/api/openapi", "", ""
	config.CreateHooks = nil
	config.AllowAdditionalPropertiesByDefault = true // Django REST framework ignores fields that it does not know
	config.Formats = map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	config.Info.Description = "Accounts and the campus community. Errors have Django REST framework's shape: " +
		"`{\"detail\": \"…\"}` or `{\"field\": [\"…\"]}`, in English or Korean by Accept-Language."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT"},
	}
	return humamux.New(router, config)
}

// OpenAPI is the OpenAPI 3.1 document of all endpoints, indented.
func OpenAPI(version string) ([]byte, error) {
	api := newAPI(mux.NewRouter(), version)
	apis{accounts: &account.API{}}.routes(registrar{api, slog.New(slog.DiscardHandler)})
	return json.MarshalIndent(api.OpenAPI(), "", "  ")
}

// unrouted answers paths that lead nowhere, and methods that a path does not take: programs in DRF's words, people with a page.
func (a *App) unrouted(router *mux.Router, site *web.Pages) {
	router.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isPage(r.URL.Path) {
			site.NotFound(w, r)
			return
		}
		httpx.WriteError(w, r, a.log, fault.New(fault.NotFound, "Not found."))
	})
	router.MethodNotAllowedHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", strings.Join(allowed(router, r), ", "))
		httpx.WriteError(w, r, a.log, fault.New(fault.MethodNotAllowed, lang.Of(r.Context()).Textf("Method \"%s\" not allowed.", r.Method)))
	})
}

// isPage tells whether a path is of the part of the site that people look at.
func isPage(path string) bool {
	for _, prefix := range []string{"/api/", "/accounts/", "/board/", "/.well-known/"} {
		if strings.HasPrefix(path, prefix) {
			return false
		}
	}
	return true
}

// allowed are the methods that r's path takes.
func allowed(router *mux.Router, r *http.Request) []string {
	var methods []string
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		probe := r.Clone(r.Context())
		probe.Method = method
		var match mux.RouteMatch
		if router.Match(probe, &match) && match.MatchErr == nil && match.Route != nil {
			methods = append(methods, method)
		}
	}
	return methods
}
