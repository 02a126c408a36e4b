package httpx_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/logging"
)

func TestWhoAsksForAPageGetsOne(t *testing.T) {
	t.Parallel()
	for accept, page := range map[string]bool{
		"": false, "*/*": false, "text/*": false, "application/json": false,
		"text/html": true, "TEXT/HTML;level=1": true, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": true,
		"application/json, text/html;q=0.9": false, "text/html, application/json": true, "text/html;q=0": false, "text/html;q=x": false,
	} {
		if httpx.WantsPage(accept) != page {
			t.Errorf("%q", accept)
		}
	}
}

func TestAFailureIsToldInTheFormAndLanguageAskedFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ accept, language, kind, body string }{
		"JSON":        {"", "", "application/json", `{"detail":"Too many requests. Please try again in 7 s."}`},
		"Korean JSON": {"application/json", "ko", "application/json", `{"detail":"요청이 너무 많습니다. 7초 후에 다시 시도해 주세요."}`},
		"page":        {"text/html", "en", "text/html; charset=utf-8", "<p>Too many requests. Please try again in 7 s.</p>"},
		"its id":      {"text/html", "en", "text/html; charset=utf-8", "&lt;id&gt;"},
		"Korean page": {"text/html", "ko-KR", "text/html; charset=utf-8", `<html lang="ko">`},
	} {
		request := httptest.NewRequestWithContext(logging.WithRequestID(t.Context(), "<id>"), http.MethodGet, "/", nil)
		request.Header.Set("Accept", c.accept)
		request.Header.Set("Accept-Language", c.language)
		recorder := httptest.NewRecorder()
		httpx.WriteFailure(recorder, request, http.StatusTooManyRequests, "Too many requests. Please try again in %d s.", 7)
		if recorder.Code != http.StatusTooManyRequests || recorder.Header().Get("Content-Type") != c.kind || recorder.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", name, recorder.Code, recorder.Header())
		}
		if !strings.Contains(recorder.Body.String(), c.body) {
			t.Errorf("%s: %s", name, recorder.Body)
		}
	}
}
