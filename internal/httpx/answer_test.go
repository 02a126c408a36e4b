package httpx_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/lang"
)

func TestErrorIsAnsweredInDRFShape(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err      error
		language string
		status   int
		body     string
		logged   bool
	}{
		"message":                {fault.New(fault.NotFound, "Not found."), "", 404, `{"detail":"Not found."}`, false},
		"message in Korean":      {fault.New(fault.NotFound, "Not found."), "ko-KR,ko;q=0.9", 404, `{"detail":"찾을 수 없습니다."}`, false},
		"code":                   {fault.Coded(fault.Unauthenticated, "token_not_valid", "Token is invalid"), "", 401, `{"code":"token_not_valid","detail":"Token is invalid"}`, false},
		"fields":                 {fault.Field("email", "Enter a valid email address.").With(fault.NonField, "No."), "", 400, `{"email":["Enter a valid email address."],"non_field_errors":["No."]}`, false},
		"wrapped":                {fmt.Errorf("loading: %w", fault.Wrap(fault.Forbidden, "No.", errors.New("hidden"))), "", 403, `{"detail":"No."}`, false},
		"unknown tells nothing":  {errors.New("SELECT secret FROM hidden"), "", 500, `{"detail":"A server error occurred."}`, true},
		"internal tells nothing": {&fault.Error{Message: "hidden", Code: "hidden", Fields: map[string][]string{"hidden": {"hidden"}}}, "", 500, `{"detail":"A server error occurred."}`, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			handler := lang.WithLang(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				httpx.WriteError(w, r, slog.New(slog.NewTextHandler(&log, nil)), test.err)
			}))
			request := httptest.NewRequest(http.MethodGet, "/", nil)
			request.Header.Set("Accept-Language", test.language)
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			if recorder.Code != test.status || strings.TrimSpace(recorder.Body.String()) != test.body {
				t.Errorf("answered %d %s, want %d %s", recorder.Code, recorder.Body, test.status, test.body)
			}
			if strings.Contains(recorder.Body.String(), "hidden") {
				t.Error("the answer leaks the cause")
			}
			if logged := log.Len() > 0; logged != test.logged {
				t.Errorf("logged: %t, want %t", logged, test.logged)
			}
			if test.status == 401 && recorder.Header().Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
		})
	}
}

func TestPanicIsAnsweredWithoutAStack(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	handler := httpx.Recover(slog.New(slog.NewTextHandler(&log, nil)), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("hidden") }))
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
	if recorder.Code != 500 || strings.Contains(recorder.Body.String(), "hidden") {
		t.Errorf("answered %d %s", recorder.Code, recorder.Body)
	}
	if !strings.Contains(log.String(), "hidden") {
		t.Error("the panic is not logged")
	}
}
