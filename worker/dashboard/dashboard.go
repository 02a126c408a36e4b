// Package dashboard shows the workers and their jobs under /flower/: pages, Flower's HTTP API, and live updates.
package dashboard

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/queue"
	"github.com/portico-web/portico/worker/fleet"
	"github.com/portico-web/portico/worker/jobs"
)

// Prefix is the path that everything of the dashboard lies under; the edge routes it here unchanged.
const Prefix = "/flower"

// Config is what a Dashboard shows and who may see it.
type Config struct {
	Client    *queue.Client
	Fleet     *fleet.Fleet
	Jobs      *jobs.Set
	Log       *slog.Logger
	Version   string
	BasicAuth string // user:password, several by comma; empty: nobody
	// Operator tells whether somebody beyond BasicAuth's users may use the dashboard; may be nil. A yes is believed for a
	// minute.
	Operator func(ctx context.Context, name, password string) (bool, error)
	ReadOnly bool
}

// Dashboard answers the requests under Prefix.
type Dashboard struct {
	client    *queue.Client
	fleet     *fleet.Fleet
	jobs      *jobs.Set
	log       *slog.Logger
	version   string
	users     *users
	operators *operators
	origin    *http.CrossOriginProtection
	readOnly  bool
	live      *live
	pages     *pages
}

// New makes a dashboard; its pages stay current while Run runs.
func New(config Config) (*Dashboard, error) {
	users, err := parseUsers(config.BasicAuth)
	if err != nil {
		return nil, err
	}
	if len(users.hashes) == 0 && config.Operator == nil {
		config.Log.Warn("the dashboard refuses everybody: set FLOWER_BASIC_AUTH=user:password")
	}
	pages, err := parsePages()
	if err != nil {
		return nil, err
	}
	return &Dashboard{
		client: config.Client, fleet: config.Fleet, jobs: config.Jobs, log: config.Log, version: config.Version,
		users: users, operators: newOperators(config.Operator, users, config.Log), origin: http.NewCrossOriginProtection(), readOnly: config.ReadOnly,
		live: newLive(config.Client, config.Fleet, config.Log), pages: pages,
	}, nil
}

// Run watches for changes on behalf of open pages until ctx ends, and then ends their event streams.
func (d *Dashboard) Run(ctx context.Context) { d.live.run(ctx) }

// Handler answers everything; all paths under Prefix need a user, but for /healthcheck, as in Flower: probes have none.
func (d *Dashboard) Handler() http.Handler {
	protected := http.NewServeMux()
	d.routes(protected)
	mux := http.NewServeMux()
	mux.Handle(Prefix+"/", secure(d.authenticate(d.withLang(d.routed(protected)))))
	mux.Handle("GET "+Prefix+"/healthcheck", secure(http.HandlerFunc(healthcheck)))
	mux.HandleFunc("GET "+Prefix, func(w http.ResponseWriter, r *http.Request) {
		target := Prefix + "/"
		if r.URL.RawQuery != "" {
			target += "?" + r.URL.RawQuery
		}
		http.Redirect(w, r, target, http.StatusPermanentRedirect)
	})
	return mux
}

func healthcheck(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("OK"))
}

// routes lists every path that needs a user.
func (d *Dashboard) routes(mux *http.ServeMux) {
	page := func(pattern string, handler func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc("GET "+Prefix+pattern, d.answerPage(handler))
	}
	page("/{$}", d.workersPage)
	page("/workers", d.workersPage)
	page("/worker/{name}", d.workerPage)
	page("/tasks", d.tasksPage)
	page("/task/{id}", d.taskPage)
	mux.HandleFunc("POST "+Prefix+"/task/{id}/retry", d.writable(d.answerPage(d.retryTask)))
	mux.HandleFunc("POST "+Prefix+"/task/{id}/cancel", d.writable(d.answerPage(d.cancelTask)))
	mux.HandleFunc("GET "+Prefix+"/assets/{name}", d.asset)
	mux.HandleFunc("GET "+Prefix+"/events", d.events)

	read := func(pattern string, handler func(*http.Request) (any, error)) {
		mux.HandleFunc("GET "+Prefix+pattern, d.answer(handler))
	}
	write := func(pattern string, handler func(*http.Request) (any, error)) {
		mux.HandleFunc("POST "+Prefix+pattern, d.writable(d.answer(handler)))
	}
	read("/api/workers", d.listWorkers)
	read("/api/tasks", d.listTasks)
	read("/api/task/types", d.taskTypes)
	read("/api/task/info/{id}", d.taskInfo)
	read("/api/task/result/{id}", d.taskResult)
	read("/api/queues/length", d.queueLengths)
	write("/api/task/async-apply/{name}", d.asyncApply)
	write("/api/task/send-task/{name}", d.asyncApply)
	write("/api/task/revoke/{id}", d.revokeTask)
}

// routed refuses what mux has no handler for, and null characters, which no database takes.
func (d *Dashboard) routed(mux *http.ServeMux) http.Handler {
	known := func(r *http.Request) bool {
		_, pattern := mux.Handler(r)
		return pattern != ""
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refusal := fault.New(fault.NotFound, "Not found.")
		switch {
		case strings.Contains(r.URL.Path, "\x00") || strings.Contains(r.URL.RawQuery, "%00"):
			refusal = fault.New(fault.Invalid, "Null characters are not allowed.")
		case known(r):
			mux.ServeHTTP(w, r)
			return
		default:
			for method, allow := range map[string]string{http.MethodGet: "GET, HEAD", http.MethodPost: "POST"} {
				other := r.Clone(r.Context())
				if other.Method = method; known(other) {
					w.Header().Set("Allow", allow)
					refusal = fault.New(fault.MethodNotAllowed, "This method is not allowed here.")
				}
			}
		}
		if strings.HasPrefix(r.URL.Path, Prefix+"/api/") {
			d.fail(w, r, refusal)
			return
		}
		d.answerPage(func(http.ResponseWriter, *http.Request) error { return refusal })(w, r)
	})
}

// secure sets what keeps a page from being framed, sniffed, stored, or made to load anything from elsewhere.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// fail answers an error to a program.
func (d *Dashboard) fail(w http.ResponseWriter, r *http.Request, err error) {
	safe := httpx.Safe(r.Context(), d.log, database.Fault(err))
	httpx.WriteJSON(w, httpx.Status(safe.Kind), httpx.ErrorBody(r.Context(), safe))
}

// answer turns what a handler of the API returns into JSON.
func (d *Dashboard) answer(handler func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := handler(r)
		if err != nil {
			d.fail(w, r, err)
			return
		}
		httpx.WriteJSON(w, http.StatusOK, body)
	}
}
