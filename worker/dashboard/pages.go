package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/lang"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// pages are the parsed templates, one set a page, and the assets with a version each, so that browsers may keep them.
type pages struct {
	sets   map[string]*template.Template
	assets map[string]asset
}

type asset struct {
	content []byte
	kind    string
	version string
}

func parsePages() (*pages, error) {
	p := &pages{sets: map[string]*template.Template{}, assets: map[string]asset{}}
	for name, kind := range map[string]string{
		"dashboard.css": "text/css; charset=utf-8", "theme.js": "text/javascript; charset=utf-8", "live.js": "text/javascript; charset=utf-8",
		"icon.svg": "image/svg+xml",
	} {
		content, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			return nil, fmt.Errorf("reading the dashboard's assets: %w", err)
		}
		sum := sha256.Sum256(content)
		p.assets[name] = asset{content, kind, hex.EncodeToString(sum[:6])}
	}
	functions := template.FuncMap{
		"asset": func(name string) string { return Prefix + "/assets/" + name + "?v=" + p.assets[name].version },
		"dict":  dict,
	}
	for _, name := range []string{"workers", "worker", "tasks", "task", "error"} {
		set, err := template.New("layout.html").Funcs(functions).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html", "templates/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("reading the dashboard's pages: %w", err)
		}
		p.sets[name] = set
	}
	return p, nil
}

// dict makes several values into the one that a template takes.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("dict needs pairs of a name and a value")
	}
	values := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, errors.New("dict's names are texts")
		}
		values[name] = pairs[i+1]
	}
	return values, nil
}

// page is what every template gets.
type page struct {
	Lang     lang.Lang
	Title    string
	Section  string // which entry of the menu is current
	Watch    string // which changes the page wants to hear of: tasks, workers, or task:ID
	Version  string
	ReadOnly bool
	Prefix   string
	Now      time.Time
	Body     any
}

// T translates.
func (p page) T(english string) string { return p.Lang.Text(english) }

// Tf translates a format and fills it in.
func (p page) Tf(format string, values ...any) string { return p.Lang.Textf(format, values...) }

// render answers one page. It is made whole before a byte of it is sent.
func (d *Dashboard) render(w http.ResponseWriter, r *http.Request, status int, name string, p page) error {
	p.Lang, p.Version, p.ReadOnly, p.Prefix, p.Now = lang.Of(r.Context()), d.version, d.readOnly, Prefix, time.Now()
	var out bytes.Buffer
	if err := d.pages.sets[name].Execute(&out, p); err != nil {
		return fmt.Errorf("rendering page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes())
	return nil
}

// answerPage turns the error of a page's handler into a page.
func (d *Dashboard) answerPage(handler func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := handler(w, r)
		if err == nil {
			return
		}
		safe := httpx.Safe(r.Context(), d.log, database.Fault(err))
		l := lang.Of(r.Context())
		message := l.Text(safe.Message)
		for field, messages := range safe.Fields {
			message += field + ": " + l.Text(strings.Join(messages, " ")) + " "
		}
		if safe.Kind == fault.Internal {
			message = l.Text("A server error occurred.")
		}
		status := httpx.Status(safe.Kind)
		if err := d.render(w, r, status, "error", page{Title: http.StatusText(status), Body: errorBody{status, message}}); err != nil {
			d.fail(w, r, err)
		}
	}
}

type errorBody struct {
	Status  int
	Message string
}

func (d *Dashboard) withLang(next http.Handler) http.Handler { return lang.WithLang(next) }

// asset answers GET /assets/NAME. With its version in the query, an asset never changes.
func (d *Dashboard) asset(w http.ResponseWriter, r *http.Request) {
	found, ok := d.pages.assets[path.Base(r.PathValue("name"))]
	if !ok {
		d.fail(w, r, fault.New(fault.NotFound, "Not found."))
		return
	}
	header := w.Header()
	if r.URL.Query().Get("v") == found.version {
		header.Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	header.Set("Content-Type", found.kind)
	_, _ = w.Write(found.content)
}
