package account_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/portico-web/portico/app/account"
)

// Whatever a client sends, the answer tells what is wrong with it; never is it 500.
func TestBrokenInputIsTheClientsFault(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, b *bench) {
		member := b.register("minji@example.com").bearer()
		bodies := []string{
			"", "null", "true", "0", `""`, "[]", "[{}]", "{", "}", `{"a"`, `{"a":}`, "{}{}", "\x00", "\xff\xfe", "\xef\xbb\xbf{}",
			`{"email":"\ud800@example.com","password":"\ud800"}`, `{"email":{"$ne":null},"password":{"$ne":null}}`,
			`{"email":["a@example.com"],"password":["x"]}`, `{"email":1e400,"password":1e400}`, `{"EMAIL":"a@example.com","Password":"x"}`,
			`{"email":"a@example.com","email":"b@example.com","password":"x"}`,
			`{"email":"a@example.com","password1":"` + password + `","password2":"` + password + `","school_id":99999999999999999999}`,
			`{"email":"a@example.com","password1":"` + password + `","password2":"` + password + `","school_id":-1}`,
			`{"email":"a@example.com","password1":"` + password + `","password2":"` + password + `","school_id":1.5,"admission_year":-0.0001}`,
			`{"email":"a@example.com","password1":"` + password + `","password2":"` + password + `","nickname":"\u202e\u0000"}`,
			`{"token":"` + strings.Repeat("a", 20_000) + `","refresh":"` + strings.Repeat("a.", 10_000) + `"}`,
			`{"token":"..","refresh":".."}`, `{"token":"\u0000","refresh":"\u0000"}`,
			`{"first_name":"\u0000","last_name":"` + strings.Repeat("가", 500) + `"}`,
			strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 20_000),
		}
		for _, kind := range []string{"application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "multipart/form-data", "text/plain", "", "a/b/c;;", "application/json; charset=utf-16"} {
			for path, method := range map[string]string{
				"/accounts/registration/": http.MethodPost, "/accounts/login/": http.MethodPost, refreshPath: http.MethodPost,
				logoutPath: http.MethodPost, verifyPath: http.MethodPost, userPath: http.MethodPatch,
			} {
				for i, body := range bodies {
					client := b.browser()
					client.header = member.header.Clone()
					client.header["Content-Type"] = []string{kind}
					client.header["User-Agent"] = []string{"\xff\xfe"}
					client.cookies[account.RefreshCookie] = fmt.Sprint("nonsense", i)
					client.cookies[account.AccessCookie] = "nonsense"
					if got := client.do(method, path, body); got.Status >= 500 || got.Status < 200 {
						t.Errorf("%s %s as %q with %.60q: %d %s", method, path, kind, body, got.Status, got.Raw)
					}
				}
			}
		}
		if b.count("users", "TRUE") != 1 {
			t.Errorf("%d users, want 1", b.count("users", "TRUE"))
		}
	})
}
