package account_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/portico-web/portico/app/account"
	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/internal/httpx"
)

// verifyWith checks a token as another service does that knows the published keys.
func verifyWith(set token.JWKS, raw string) error {
	_, err := jwt.Parse(raw, func(unverified *jwt.Token) (any, error) {
		for _, key := range set.Keys {
			if key.KeyID == unverified.Header["kid"] && key.KeyType == "OKP" && key.Curve == "Ed25519" && key.Algorithm == "EdDSA" && key.Use == "sig" {
				public, err := base64.RawURLEncoding.DecodeString(key.X)
				return ed25519.PublicKey(public), err
			}
		}
		return nil, errors.New("unknown key")
	}, jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithoutClaimsValidation())
	return err
}

const csrfSecret = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

func forbidden(why string) string { return `{"detail":"CSRF Failed: ` + why + `"}` }

func TestCookieNeedsAProofForUnsafeRequests(t *testing.T) {
	t.Parallel()
	one(t, nil, func(t *testing.T, b *bench) {
		br := b.register("minji@example.com")
		patch := object{"first_name": "민지"}
		br.do(http.MethodGet, userPath, nil).want(http.StatusOK)
		br.do(http.MethodPatch, userPath, patch).want(http.StatusForbidden).says(forbidden("CSRF cookie not set."))
		br.cookies[account.CSRFCookie] = "short"
		br.do(http.MethodPatch, userPath, patch).want(http.StatusForbidden).says(forbidden("CSRF cookie not set."))
		br.cookies[account.CSRFCookie] = csrfSecret
		br.do(http.MethodPatch, userPath, patch).want(http.StatusForbidden).says(forbidden("CSRF token missing."))
		for _, wrong := range []string{"wrong", csrfSecret + "x", strings.ToLower(csrfSecret), strings.Repeat("A", 5000)} {
			br.header.Set("X-Csrftoken", wrong)
			br.do(http.MethodPatch, userPath, patch).want(http.StatusForbidden).says(forbidden("CSRF token incorrect."))
		}
		br.header.Set("X-Csrftoken", csrfSecret)
		br.do(http.MethodPatch, userPath, patch).want(http.StatusOK)
		br.header.Set("Origin", "https://evil.example")
		br.do(http.MethodPatch, userPath, patch).want(http.StatusForbidden).says(forbidden("Origin checking failed."))
		br.header = http.Header{}
		br.do(http.MethodPatch, userPath, url.Values{"first_name": {"폼"}, "csrfmiddlewaretoken": {csrfSecret}}).want(http.StatusOK)
		br.do(http.MethodPatch, userPath, url.Values{"first_name": {"폼"}, "csrfmiddlewaretoken": {"wrong"}}).want(http.StatusForbidden)

		client := br.bearer()
		client.cookies = br.cookies
		delete(client.cookies, account.CSRFCookie)
		client.header.Set("Origin", "https://evil.example")
		client.do(http.MethodPatch, userPath, patch).want(http.StatusOK)
	})
}

func TestOriginDecidesWhoMayUseCookies(t *testing.T) {
	t.Parallel()
	one(t, nil, func(t *testing.T, b *bench) {
		b.register("minji@example.com")
		for name, test := range map[string]struct {
			origin, site string
			allowed      bool
		}{
			"no browser":                  {"", "", true},
			"our page":                    {"https://" + host, "same-origin", true},
			"typed by the person":         {"", "none", true},
			"our page, older browser":     {"https://" + host, "", true},
			"our page with default port":  {"https://" + host + ":443", "", true},
			"our page in capitals":        {"HTTPS://PORTICO.TEST", "", true},
			"our page without encryption": {"http://" + host, "", false},
			"our page, another port":      {"https://" + host + ":8443", "", false},
			"another site":                {"https://evil.example", "cross-site", false},
			"another site, older browser": {"https://evil.example", "", false},
			"sister site":                 {"https://sister." + host, "same-site", false},
			"sandboxed":                   {"null", "cross-site", false},
			"sandboxed, older browser":    {"null", "", false},
			"unknown word":                {"", "same-galaxy", false},
			"trusted":                     {"https://friend.example", "cross-site", true},
			"trusted, unencrypted":        {"http://friend.example", "cross-site", false},
			"trusted as suffix":           {"https://not-friend.example", "cross-site", false},
			"trusted subdomain":           {"https://a.b.wild.example", "cross-site", true},
			"wildcard's own domain":       {"https://wild.example", "cross-site", false},
			"wildcard as suffix":          {"https://evilwild.example", "cross-site", false},
		} {
			t.Run(name, func(t *testing.T) {
				want := http.StatusForbidden
				if test.allowed {
					want = http.StatusOK
				}
				br := b.browser()
				for field, value := range map[string]string{"Origin": test.origin, "Sec-Fetch-Site": test.site} {
					if value != "" {
						br.header.Set(field, value)
					}
				}
				// Signing in sets cookies: another site must not sign a person in as somebody else.
				for _, request := range []struct {
					path string
					body any
				}{
					{"/accounts/login/", url.Values{"email": {"minji@example.com"}, "password": {password}}},
					{refreshPath, nil}, {logoutPath, nil},
				} {
					got := br.post(request.path, request.body)
					got.t = t
					got.want(want)
				}
				if !test.allowed {
					got := br.post("/accounts/registration/", object{"email": "new@example.com", "password1": password, "password2": password})
					got.t = t
					got.want(want)
				}
			})
		}
	})
}

func TestFormTokens(t *testing.T) {
	t.Parallel()
	csrf := account.New(account.Config{Secure: true}).CSRF()
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "https://"+host+"/", nil)
	first, second := csrf.Token(w, r), csrf.Token(w, r)
	if first == second {
		t.Error("two tokens look the same")
	}
	cookies := w.Result().Cookies()
	if len(cookies) != 1 || cookies[0].Name != account.CSRFCookie || !cookies[0].Secure || cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode || cookies[0].Path != "/" {
		t.Fatalf("cookies %v", cookies)
	}
	submit := func(proof string) error {
		form := url.Values{httpx.FieldCSRF: {proof}, "title": {"제목"}}
		post := httptest.NewRequest(http.MethodPost, "https://"+host+"/", strings.NewReader(form.Encode()))
		post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		post.AddCookie(cookies[0])
		err := csrf.Check(post)
		if post.PostFormValue("title") != "제목" {
			t.Error("the form is lost for whoever comes after the check")
		}
		return err
	}
	for _, proof := range []string{first, second, cookies[0].Value} {
		if err := submit(proof); err != nil {
			t.Errorf("%q is refused: %v", proof, err)
		}
	}
	for _, proof := range []string{"", "x", first[1:], "AAAA" + first, strings.Repeat("A", len(first))} {
		if submit(proof) == nil {
			t.Errorf("%q is accepted", proof)
		}
	}
	again := httptest.NewRequest(http.MethodGet, "https://"+host+"/", nil)
	again.AddCookie(cookies[0])
	w = httptest.NewRecorder()
	if token := csrf.Token(w, again); submit(token) != nil || len(w.Result().Cookies()) != 0 {
		t.Error("a client that has the cookie gets another one, or a token that does not fit it")
	}
	if err := csrf.Check(again); err != nil {
		t.Errorf("reading is refused: %v", err)
	}
}
