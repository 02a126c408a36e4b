package httpx_test

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/portico-web/portico/internal/httpx"
)

// convert sends a body through FormToJSON and returns what the API behind it gets, or the refusal.
func convert(kind, body string) (status int, answer, gotKind, proof string) {
	handler := httpx.FormToJSON(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gotKind, proof = r.Header.Get("Content-Type"), r.Header.Get(httpx.HeaderCSRF)
		content, _ := io.ReadAll(r.Body)
		if r.ContentLength >= 0 && int64(len(content)) != r.ContentLength {
			http.Error(w, "the length is wrong", http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(content)
	}))
	r := httptest.NewRequest(http.MethodPost, "/accounts/login/", strings.NewReader(body))
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	w := httptest.NewRecorder()
	r.Body = http.MaxBytesReader(w, r.Body, 10_000)
	handler.ServeHTTP(w, r)
	return w.Code, w.Body.String(), gotKind, proof
}

func multipartBody(t *testing.T) (kind, body string) {
	t.Helper()
	var buffer bytes.Buffer
	form := multipart.NewWriter(&buffer)
	for name, value := range map[string]string{"email": "민지@example.com", "csrfmiddlewaretoken": "proof"} {
		if err := form.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	file, err := form.CreateFormFile("photo", "a.png")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = file.Write([]byte("PNG"))
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	return form.FormDataContentType(), buffer.String()
}

func TestFormsBecomeJSON(t *testing.T) {
	t.Parallel()
	const form = "application/x-www-form-urlencoded"
	multi, parts := multipartBody(t)
	for name, test := range map[string]struct {
		kind, body string
		status     int
		want       string
	}{
		"JSON passes":       {"application/json", `{"a": 1}`, 200, `{"a": 1}`},
		"JSON with charset": {"application/json; charset=utf-8", `{`, 200, `{`},
		"merge patch":       {"application/merge-patch+json", `{}`, 200, `{}`},
		"form":              {form, "email=a%40b.co&name=%EB%AF%BC%EC%A7%80+%3C%26%3E", 200, `{"email":"a@b.co","name":"민지 \u003c\u0026\u003e"}`},
		"form, charset":     {form + "; charset=UTF-8", "a=1", 200, `{"a":"1"}`},
		"last of two":       {form, "a=1&a=2", 200, `{"a":"2"}`},
		"not UTF-8":         {form, "a=%FF", 200, `{"a":"\ufffd"}`},
		"no body":           {"", "", 200, ""},
		"empty form":        {form, "", 200, ""},
		"CSRF proof":        {form, "a=1&csrfmiddlewaretoken=proof", 200, `{"a":"1"}`},
		"multipart":         {multi, parts, 200, `{"email":"민지@example.com"}`},
		"broken escape":     {form, "a=%zz", 400, `{"detail":"Form parse error - malformed"}`},
		"semicolons":        {form, "a=1;b=2", 400, `{"detail":"Form parse error - malformed"}`},
		"too many fields":   {form, strings.Repeat("a&", 1500), 400, `{"detail":"Form parse error - too many fields"}`},
		"no boundary":       {"multipart/form-data", "x", 400, `{"detail":"Multipart form parse error - Invalid boundary in multipart: None"}`},
		"wrong boundary":    {"multipart/form-data; boundary=zzz", parts, 400, `{"detail":"Multipart form parse error - malformed"}`},
		"cut off":           {multi, parts[:len(parts)-20], 400, `{"detail":"Multipart form parse error - malformed"}`},
		"too long":          {form, "a=" + strings.Repeat("b", 20_000), 413, `{"detail":"Request body is too large."}`},
		"text":              {"text/plain", "a=1", 415, `{"detail":"Unsupported media type \"text/plain\" in request."}`},
		"type missing":      {"", "a=1", 415, `{"detail":"Unsupported media type \"\" in request."}`},
		"type malformed":    {"a/b/c\x7f", "a=1", 415, `{"detail":"Unsupported media type \"a/b/c\\x7f\" in request."}`},
		"another charset":   {form + "; charset=euc-kr", "a=1", 415, `{"detail":"Unsupported media type \"application/x-www-form-urlencoded; charset=euc-kr\" in request."}`},
	} {
		status, got, kind, proof := convert(test.kind, test.body)
		if status != test.status || strings.TrimSpace(got) != test.want {
			t.Errorf("%s: %d %s, want %d %s", name, status, got, test.status, test.want)
		}
		if strings.HasPrefix(test.kind, form) || strings.HasPrefix(test.kind, multi) {
			if status == 200 && got != "" && kind != "application/json" {
				t.Errorf("%s: the type is %q", name, kind)
			}
		}
		if want := strings.Contains(test.body, "csrfmiddlewaretoken") && status == 200; want != (proof == "proof") {
			t.Errorf("%s: the proof is %q", name, proof)
		}
	}
}

func FuzzFormToJSON(f *testing.F) {
	f.Add("application/x-www-form-urlencoded", "a=1&b=%20")
	f.Add("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--\r\n")
	f.Fuzz(func(t *testing.T, kind, body string) {
		status, answer, gotKind, _ := convert(kind, body)
		if status >= 500 {
			t.Fatalf("%q as %q: %d %s", body, kind, status, answer)
		}
		if status == 200 && answer != "" && gotKind != kind && !json.Valid([]byte(answer)) {
			t.Errorf("%q as %q became %q", body, kind, answer)
		}
	})
}
