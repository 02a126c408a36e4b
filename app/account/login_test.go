package account_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/portico-web/portico/app/account"
	"github.com/portico-web/portico/internal/ratelimit"
)

func TestLoginStartsASession(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, b *bench) {
		b.register("minji@example.com")
		for name, body := range map[string]any{
			"as registered":     object{"email": "minji@example.com", "password": password},
			"other letter case": object{"email": " MinJi@EXAMPLE.com ", "password": password},
			"as username":       object{"username": "minji@example.com", "password": password, "email": ""},
			"by form":           url.Values{"email": {"minji@example.com"}, "password": {password}},
		} {
			t.Run(name, func(t *testing.T) {
				br := b.browser()
				got := br.post("/accounts/login/", body)
				got.t = t
				got.want(http.StatusOK)
				user, _ := got.Body["user"].(map[string]any)
				if len(got.Body) != 5 || got.text("refresh") != "" || got.text("access") == "" || user["email"] != "minji@example.com" || len(user) != 4 {
					t.Errorf("body %s", got.Raw)
				}
				if got.text("access_expiration") != "2026-11-20T12:09:05.000000+09:00" || got.text("refresh_expiration") != "2026-11-21T12:04:05.000000+09:00" {
					t.Errorf("expirations in %s", got.Raw)
				}
				if br.cookies[account.AccessCookie] == "" || br.cookies[account.RefreshCookie] == "" {
					t.Errorf("cookies %v", br.cookies)
				}
				if got.Header.Get("Cache-Control") != "no-store" {
					t.Error("the answer may be cached")
				}
			})
		}
		if b.count("users", "last_login = ?", b.clock.Now()) != 1 {
			t.Error("last_login is not noted")
		}
		if families := b.count("refresh_tokens", "family = id AND parent IS NULL"); families != 5 {
			t.Errorf("%d sessions, want 5", families)
		}
	})
}

func TestLoginRefusesWithoutTellingWhy(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, b *bench) {
		b.register("minji@example.com")
		b.register("closed@example.com")
		b.exec("UPDATE users SET is_active = FALSE WHERE email_key = 'closed@example.com'")
		b.register("broken@example.com")
		b.exec("UPDATE users SET password = '$argon2id$v=19$m=4294967295,t=99,p=255$AAAA$AAAA' WHERE email_key = 'broken@example.com'")
		b.register("unusable@example.com")
		b.exec("UPDATE users SET password = '!unusable' WHERE email_key = 'unusable@example.com'")
		const incomplete = `{"non_field_errors":["Must include \"email\" and \"password\"."]}`
		for name, test := range map[string]struct {
			body any
			want string
		}{
			"wrong password":           {object{"email": "minji@example.com", "password": password + "!"}, wrongLogin},
			"password in other case":   {object{"email": "minji@example.com", "password": strings.ToUpper(password)}, wrongLogin},
			"unknown":                  {object{"email": "nobody@example.com", "password": password}, wrongLogin},
			"no address":               {object{"email": "x\x00' OR 1=1 --", "password": password}, wrongLogin},
			"very long password":       {object{"email": "minji@example.com", "password": password + strings.Repeat("x", 100_000)}, wrongLogin},
			"hash out of bounds":       {object{"email": "broken@example.com", "password": password}, wrongLogin},
			"unusable password":        {object{"email": "unusable@example.com", "password": password}, wrongLogin},
			"inactive":                 {object{"email": "closed@example.com", "password": password}, `{"non_field_errors":["User account is disabled."]}`},
			"inactive, wrong password": {object{"email": "closed@example.com", "password": "wrong"}, wrongLogin},
			"no address given":         {object{"password": password}, incomplete},
			"blank address":            {object{"email": "", "password": password}, incomplete},
			"no password":              {object{"email": "minji@example.com"}, `{"password":["This field is required."]}`},
			"blank password":           {object{"email": "minji@example.com", "password": ""}, `{"password":["This field may not be blank."]}`},
			"password no string":       {object{"email": "minji@example.com", "password": object{}}, `{"password":["Not a valid string."]}`},
			"no body":                  {nil, `{"password":["This field is required."]}`},
		} {
			t.Run(name, func(t *testing.T) {
				br := b.browser()
				got := br.post("/accounts/login/", test.body)
				got.t = t
				got.want(http.StatusBadRequest).says(test.want)
				if len(br.cookies) > 0 {
					t.Errorf("cookies %v", br.cookies)
				}
			})
		}
	})
}

func TestLoginWorksWhateverTokensAreSent(t *testing.T) {
	t.Parallel()
	one(t, nil, func(t *testing.T, b *bench) {
		br := b.register("minji@example.com")
		b.clock.Advance(48 * time.Hour)
		login := object{"email": "minji@example.com", "password": password}
		br.post("/accounts/login/", login).want(http.StatusOK)
		br.cookies = map[string]string{account.AccessCookie: "broken", account.RefreshCookie: "broken too"}
		br.header.Set("Authorization", "Bearer nonsense at all")
		br.post("/accounts/login/", login).want(http.StatusOK)
		br.post("/accounts/registration/", object{"email": "two@example.com", "password1": password, "password2": password}).want(http.StatusCreated)
		br.post("/accounts/token/verify/", object{"token": br.cookies[account.RefreshCookie]}).want(http.StatusOK)
		br.post("/accounts/token/refresh/", nil).want(http.StatusOK)
		br.post("/accounts/logout/", nil).want(http.StatusOK)
	})
}

func TestLoginRenewsAHashOfOtherCosts(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, b *bench) {
		b.register("minji@example.com")
		salt := []byte("sixteen bytes ..")
		key := argon2.IDKey([]byte(password), salt, 1, 64, 1, 32)
		encode := base64.RawStdEncoding.EncodeToString
		b.exec("UPDATE users SET password = ?", "$argon2id$v=19$m=64,t=1,p=1$"+encode(salt)+"$"+encode(key))
		login := object{"email": "minji@example.com", "password": password}
		b.browser().post("/accounts/login/", object{"email": "minji@example.com", "password": "wrong"}).want(http.StatusBadRequest)
		if b.count("users", "password LIKE '%m=64,%'") != 1 {
			t.Error("a wrong password renewed the hash")
		}
		b.browser().post("/accounts/login/", login).want(http.StatusOK)
		if b.count("users", "password LIKE '%m=19456,t=2,p=1$%'") != 1 {
			t.Error("the hash was not renewed")
		}
		b.browser().post("/accounts/login/", login).want(http.StatusOK)
	})
}

func limited(change func(*account.Limits)) func(*account.Config) {
	return func(cfg *account.Config) {
		cfg.Limits = account.DefaultLimits(ratelimit.NewLocal(1000, cfg.Clock))
		if change != nil {
			change(cfg.Limits)
		}
	}
}

func TestGuessingAtOneAccountIsSlowedDown(t *testing.T) {
	t.Parallel()
	one(t, limited(nil), func(t *testing.T, b *bench) {
		b.register("minji@example.com")
		b.register("sora@example.com")
		wrong := object{"email": "minji@example.com", "password": "wrong-guess"}
		right := object{"email": "MINJI@example.com", "password": password}
		for range 4 {
			b.browser().post("/accounts/login/", wrong).want(http.StatusBadRequest)
		}
		b.browser().post("/accounts/login/", right).want(http.StatusOK)
		for range 5 { // the count starts anew after a success
			b.browser().post("/accounts/login/", wrong).want(http.StatusBadRequest)
		}
		got := b.browser().post("/accounts/login/", right).want(http.StatusTooManyRequests).
			says(`{"detail":"Request was throttled. Expected available in 60 seconds."}`)
		if got.Header.Get("Retry-After") != "60" {
			t.Errorf("Retry-After %q, want 60", got.Header.Get("Retry-After"))
		}
		b.browser().post("/accounts/login/", object{"email": "sora@example.com", "password": password}).want(http.StatusOK)
		b.clock.Advance(time.Minute)
		b.browser().post("/accounts/login/", right).want(http.StatusOK)
	})
}

func TestMistypedAddressesOfManyPeopleAreNotOneAccount(t *testing.T) {
	t.Parallel()
	one(t, limited(nil), func(t *testing.T, b *bench) {
		for i := range 10 {
			someone := b.browser()
			someone.header.Set("X-Forwarded-For", fmt.Sprint("203.0.113.", i+1))
			someone.post("/accounts/login/", object{"email": "minji@", "password": password}).want(http.StatusBadRequest)
		}
	})
}

func TestGuessingFromOneAddressIsSlowedDown(t *testing.T) {
	t.Parallel()
	one(t, limited(func(l *account.Limits) { l.FailedAddress.Events, l.FailedAddress.Burst = 2, 2 }), func(t *testing.T, b *bench) {
		b.register("minji@example.com")
		right := object{"email": "minji@example.com", "password": password}
		for _, email := range []string{"a@example.com", "b@example.com"} {
			b.browser().post("/accounts/login/", object{"email": email, "password": "wrong-guess"}).want(http.StatusBadRequest)
		}
		b.browser().post("/accounts/login/", right).want(http.StatusTooManyRequests)
		other := b.browser()
		other.header.Set("X-Forwarded-For", "203.0.113.8")
		other.header.Set("Accept-Language", "ko")
		other.post("/accounts/login/", right).want(http.StatusOK)
		b.clock.Advance(30 * time.Second)
		b.browser().post("/accounts/login/", right).want(http.StatusOK)
	})
}

func TestRegistrationsAndLoginsOfOneAddressAreLimited(t *testing.T) {
	t.Parallel()
	one(t, limited(func(l *account.Limits) { l.Signup.Burst, l.Login.Burst = 1, 1 }), func(t *testing.T, b *bench) {
		b.register("minji@example.com")
		ko := b.browser()
		ko.header.Set("Accept-Language", "ko")
		ko.post("/accounts/registration/", object{"email": "b@example.com", "password1": password, "password2": password}).
			want(http.StatusTooManyRequests).says(`{"detail":"요청이 제한되었습니다. 3초 후에 다시 시도해 주세요."}`)
		login := object{"email": "minji@example.com", "password": password}
		b.browser().post("/accounts/login/", login).want(http.StatusOK)
		b.browser().post("/accounts/login/", login).want(http.StatusTooManyRequests)
	})
}
