package httpx

import (
	_ "embed"
	"html"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/portico-web/portico/internal/lang"
	"github.com/portico-web/portico/internal/logging"
)

//go:embed failure.html
var failureSource string

var failurePage = template.Must(template.New("failure").Parse(failureSource))

// WriteFailure answers status with a message in the client's language: to a browser a small page that loads nothing, to
// everyone else DRF's {"detail": …}. message is the English text, a format for lang.Textf when there are values.
func WriteFailure(w http.ResponseWriter, r *http.Request, status int, message string, values ...any) {
	lang.WithLang(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l := lang.Of(r.Context())
		text := failureText(l, message, values)
		w.Header().Add("Vary", "Accept")
		w.Header().Set("Cache-Control", "no-store")
		if !WantsPage(r.Header.Get("Accept")) {
			WriteJSON(w, status, map[string]string{"detail": text})
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		w.WriteHeader(status)
		_ = failurePage.Execute(w, map[string]any{
			"Lang": string(l), "Status": status, "Text": text, "RequestID": logging.RequestID(r.Context()),
		})
	})).ServeHTTP(w, r)
}

// WriteFailurePage answers status with a page of somebody else's, in which FillPage fills in what WriteFailure would say.
func WriteFailurePage(w http.ResponseWriter, r *http.Request, page []byte, status int, message string, values ...any) {
	lang.WithLang(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Add("Vary", "Accept")
		header.Del("Content-Language") // the page is in a language of its own
		header.Set("Cache-Control", "no-store")
		header.Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write(FillPage(page, status, failureText(lang.Of(r.Context()), message, values), logging.RequestID(r.Context())))
	})).ServeHTTP(w, r)
}

// FillPage puts values into a page in the place of {status}, {message} and {request_id}.
func FillPage(page []byte, status int, message, requestID string) []byte {
	filled := strings.NewReplacer("{status}", strconv.Itoa(status), "{message}", html.EscapeString(message), "{request_id}", html.EscapeString(requestID))
	return []byte(filled.Replace(string(page)))
}

// FailureText is what WriteFailure says, in English: for clients of other formats.
func FailureText(message string, values ...any) string {
	return failureText(lang.English, message, values)
}

func failureText(l lang.Lang, message string, values []any) string {
	if len(values) == 0 {
		return l.Text(message)
	}
	return l.Textf(message, values...)
}

// WantsPage tells whether an Accept field names text/html, with at least the weight of JSON (RFC 9110 section 12.5.1).
// Wildcards name nothing: programs send them, browsers name what they want.
func WantsPage(accept string) bool {
	page, json := -1.0, -1.0
	for member := range strings.SplitSeq(accept, ",") {
		kind, parameters, _ := strings.Cut(member, ";")
		weight := 1.0
		for parameter := range strings.SplitSeq(parameters, ";") {
			if value, ok := strings.CutPrefix(strings.TrimSpace(parameter), "q="); ok {
				weight, _ = strconv.ParseFloat(value, 64)
			}
		}
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "text/html", "application/xhtml+xml":
			page = max(page, weight)
		case "application/json":
			json = max(json, weight)
		}
	}
	return page > 0 && page >= json
}
