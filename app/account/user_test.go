package account_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/portico-web/portico/app/account"
	"github.com/portico-web/portico/app/token"
)

// bearer is a client that sends its access token in the header and keeps no cookies.
func (br *browser) bearer() *browser {
	client := br.b.browser()
	client.header.Set("Authorization", "Bearer "+br.cookies[account.AccessCookie])
	return client
}

func TestUserReadsAndChangesTheirAccount(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, b *bench) {
		client := b.register("minji@example.com").bearer()
		got := client.do(http.MethodGet, userPath, nil).want(http.StatusOK)
		if len(got.Body) != 4 || got.text("email") != "minji@example.com" || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("body %s", got.Raw)
		}
		pk := got.text("pk")
		b.clock.Advance(time.Second)
		client.do(http.MethodPatch, userPath, object{"first_name": " 민지 ", "email": "other@example.com", "pk": "x"}).want(http.StatusOK).
			says(`{"pk":"` + pk + `","email":"minji@example.com","first_name":"민지","last_name":""}`)
		client.do(http.MethodPut, userPath, object{"first_name": "민", "last_name": "김"}).want(http.StatusOK).
			says(`{"pk":"` + pk + `","email":"minji@example.com","first_name":"민","last_name":"김"}`)
		client.do(http.MethodPatch, userPath, object{"last_name": ""}).want(http.StatusOK)
		client.do(http.MethodPatch, userPath, nil).want(http.StatusOK).
			says(`{"pk":"` + pk + `","email":"minji@example.com","first_name":"민","last_name":""}`)
		client.do(http.MethodPatch, userPath, object{"first_name": strings.Repeat("민", 151), "last_name": "\x00"}).want(http.StatusBadRequest).
			says(`{"first_name":["Ensure this field has no more than 150 characters."],"last_name":["Null characters are not allowed."]}`)
		client.do(http.MethodPatch, userPath, object{"first_name": nil, "last_name": false}).want(http.StatusBadRequest).
			says(`{"first_name":["This field may not be null."],"last_name":["Not a valid string."]}`)
		if b.count("users", "updated_at = ? AND email_key = 'minji@example.com'", b.clock.Now()) != 1 {
			t.Error("updated_at is not noted")
		}
	})
}

func TestAccessIsRefusedInTheWordsOfSimpleJWT(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, b *bench) {
		br := b.register("minji@example.com")
		access, refresh := br.cookies[account.AccessCookie], br.refreshToken()
		keys, err := token.NewKeys(secret)
		if err != nil {
			t.Fatal(err)
		}
		stranger, err := keys.Sign(token.Claims{Kind: token.Access, ID: uuid.New(), UserID: uuid.New(), Issued: b.clock.Now(), Expires: b.clock.Now().Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		invalid := func(why string) string {
			return `{"detail":"Given token not valid for any token type","code":"token_not_valid","messages":[{"token_class":"AccessToken","token_type":"access","message":"` + why + `"}]}`
		}
		const (
			badHeader = `{"detail":"Authorization header must contain two space-delimited values","code":"bad_authorization_header"}`
			nothing   = `{"detail":"Authentication credentials were not provided."}`
		)
		for name, test := range map[string]struct{ header, want string }{
			"nothing":         {"", nothing},
			"another scheme":  {"Basic dXNlcjpwYXNz", nothing},
			"scheme alone":    {"Bearer", badHeader},
			"three words":     {"Bearer " + access + " more", badHeader},
			"nonsense":        {"Bearer nonsense", invalid("Token is invalid")},
			"not UTF-8":       {"Bearer \xff\xfe", invalid("Token is invalid")},
			"refresh token":   {"bearer " + refresh, invalid("Token has wrong type")},
			"unknown user":    {"Bearer " + stranger, `{"detail":"User not found","code":"user_not_found"}`},
			"changed payload": {"Bearer " + strings.Replace(access, ".", ".e", 1), invalid("Token is invalid")},
			"very long":       {"Bearer " + strings.Repeat("a", 60_000), invalid("Token is invalid")},
		} {
			t.Run(name, func(t *testing.T) {
				client := b.browser()
				if test.header != "" {
					client.header.Set("Authorization", test.header)
				}
				got := client.do(http.MethodGet, userPath, nil)
				got.t = t
				got.want(http.StatusUnauthorized).says(test.want)
				if got.Header.Get("WWW-Authenticate") != `Bearer realm="api"` || got.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("header %v", got.Header)
				}
			})
		}
		b.exec("UPDATE users SET is_active = FALSE")
		br.do(http.MethodGet, userPath, nil).want(http.StatusUnauthorized).says(`{"detail":"User is inactive","code":"user_inactive"}`)
		b.exec("UPDATE users SET is_active = TRUE")
		b.clock.Advance(5*time.Minute + 10*time.Second)
		br.do(http.MethodGet, userPath, nil).want(http.StatusUnauthorized).says(invalid("Token is expired"))
	})
}

func TestHeaderBeatsCookie(t *testing.T) {
	t.Parallel()
	one(t, nil, func(t *testing.T, b *bench) {
		br := b.register("cookie@example.com")
		header := b.register("header@example.com").cookies[account.AccessCookie]
		br.header.Set("Authorization", "Bearer "+header)
		if got := br.do(http.MethodGet, userPath, nil).want(http.StatusOK); got.text("email") != "header@example.com" {
			t.Errorf("%s was answered", got.Raw)
		}
		br.header.Set("Authorization", "Bearer broken")
		br.do(http.MethodGet, userPath, nil).want(http.StatusUnauthorized)
		br.header.Set("Authorization", "Basic dXNlcjpwYXNz") // somebody else's, such as the edge's
		if got := br.do(http.MethodGet, userPath, nil).want(http.StatusOK); got.text("email") != "cookie@example.com" {
			t.Errorf("%s was answered", got.Raw)
		}
	})
}

func TestPublishedKeysVerifyAccessTokensAlone(t *testing.T) {
	t.Parallel()
	one(t, nil, func(t *testing.T, b *bench) {
		br := b.register("minji@example.com")
		got := b.browser().do(http.MethodGet, "/.well-known/jwks.json", nil).want(http.StatusOK)
		if got.Header.Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("Cache-Control %q", got.Header.Get("Cache-Control"))
		}
		var set token.JWKS
		if err := json.Unmarshal([]byte(got.Raw), &set); err != nil || len(set.Keys) != 1 {
			t.Fatalf("%v in %s", err, got.Raw)
		}
		if err := verifyWith(set, br.cookies[account.AccessCookie]); err != nil {
			t.Errorf("an access token: %v", err)
		}
		if err := verifyWith(set, br.refreshToken()); err == nil {
			t.Error("the published keys verify a refresh token")
		}
	})
}
