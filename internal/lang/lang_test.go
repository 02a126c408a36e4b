package lang_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/portico-web/portico/internal/lang"
)

func TestLanguageIsNegotiated(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		accept, cookie string
		want           lang.Lang
	}{
		"nothing said":      {"", "", lang.English},
		"Korean":            {"ko-KR,ko;q=0.9,en;q=0.8", "", lang.Korean},
		"English first":     {"en-US,ko;q=0.5", "", lang.English},
		"unknown":           {"fi", "", lang.English},
		"unknown, Korean":   {"fi,ko;q=0.1", "", lang.Korean},
		"cookie wins":       {"en", "ko", lang.Korean},
		"cookie is garbage": {"ko", "%%%", lang.Korean},
		"header is garbage": {";;;q=", "", lang.English},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got lang.Lang
			handler := lang.WithLang(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = lang.Of(r.Context()) }))
			request := httptest.NewRequest(http.MethodGet, "/", nil)
			request.Header.Set("Accept-Language", test.accept)
			if test.cookie != "" {
				request.AddCookie(&http.Cookie{Name: lang.Cookie, Value: test.cookie})
			}
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			if got != test.want || recorder.Header().Get("Content-Language") != string(test.want) {
				t.Errorf("chose %s, want %s", got, test.want)
			}
		})
	}
}
