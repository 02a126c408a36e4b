package account_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/portico-web/portico/app/account"
	"github.com/portico-web/portico/app/token"
)

const (
	refreshPath = "/accounts/token/refresh/"
	verifyPath  = "/accounts/token/verify/"
	logoutPath  = "/accounts/logout/"
	userPath    = "/accounts/user/"
)

func (br *browser) refreshToken() string { return br.cookies[account.RefreshCookie] }

// refresh renews a session by the body and returns the next refresh token.
func (b *bench) refresh(refresh string) string {
	b.t.Helper()
	br := b.browser()
	br.post(refreshPath, object{"refresh": refresh}).want(http.StatusOK)
	return br.refreshToken()
}

func TestRefreshRotatesTheCookie(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, b *bench) {
		br := b.register("minji@example.com")
		first, firstAccess := br.refreshToken(), br.cookies[account.AccessCookie]
		b.clock.Advance(time.Hour)
		br.do(http.MethodGet, userPath, nil).want(http.StatusUnauthorized)
		got := br.post(refreshPath, nil).want(http.StatusOK)
		if len(got.Body) != 2 || got.text("access_expiration") != "2026-11-20T13:09:05.000000+09:00" {
			t.Errorf("body %s", got.Raw)
		}
		if br.refreshToken() == first || got.text("access") == firstAccess || got.text("access") != br.cookies[account.AccessCookie] {
			t.Error("the cookies were not renewed")
		}
		if cookie := got.Cookies[account.RefreshCookie]; cookie.MaxAge != 24*60*60 || !cookie.HttpOnly {
			t.Errorf("cookie %v", cookie)
		}
		br.do(http.MethodGet, userPath, nil).want(http.StatusOK)
		br.post(refreshPath, object{}).want(http.StatusOK)
		br.post(refreshPath, object{"refresh": ""}).want(http.StatusOK)
		br.post(refreshPath, object{"refresh": nil}).want(http.StatusOK)
		if b.count("refresh_tokens", "TRUE") != 5 || b.count("refresh_tokens", "used_at IS NULL") != 1 {
			t.Error("the chain of tokens is not as it should be")
		}
	})
}

func TestRefreshTokenOfTheBodyBeatsTheCookie(t *testing.T) {
	t.Parallel()
	each(t, func(cfg *account.Config) { cfg.HTTPOnly = false }, func(t *testing.T, b *bench) {
		got := b.browser().post("/accounts/registration/", object{"email": "m@example.com", "password1": password, "password2": password}).want(http.StatusCreated)
		if got.Cookies[account.RefreshCookie].HttpOnly {
			t.Error("the cookie is HttpOnly though scripts are to read it")
		}
		br := b.browser()
		br.cookies[account.RefreshCookie] = "nonsense"
		renewed := br.post(refreshPath, object{"refresh": got.text("refresh")}).want(http.StatusOK)
		if len(renewed.Body) != 4 || renewed.text("refresh") != br.refreshToken() || renewed.text("refresh_expiration") == "" {
			t.Errorf("body %s", renewed.Raw)
		}
		br.post(refreshPath, object{"refresh": "nonsense"}).want(http.StatusUnauthorized).says(notValid)
		login := b.browser().post("/accounts/login/", object{"email": "m@example.com", "password": password}).want(http.StatusOK)
		b.browser().post(verifyPath, object{"token": login.text("refresh")}).want(http.StatusOK)
	})
}

func TestSameChildIsAnsweredForTenSeconds(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, b *bench) {
		parent := b.register("minji@example.com").refreshToken()
		child := b.refresh(parent)
		b.clock.Advance(10 * time.Second)
		if again := b.refresh(parent); again != child {
			t.Error("another child was made")
		}
		if b.count("refresh_tokens", "TRUE") != 2 {
			t.Error("another row was made")
		}
		b.clock.Advance(time.Hour)
		b.refresh(child)
	})
}

func TestSameChildIsFoundAfterTheSecretChanged(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, b *bench) {
		first := b.register("minji@example.com").refreshToken()
		child := b.refresh(first)
		b.restart("another secret, also longer than thirty-two bytes", secret)
		if again := b.refresh(first); again != child {
			t.Error("another child was made")
		}
		grandchild := b.refresh(child)
		b.restart("a third secret, also longer than thirty-two bytes", "another secret, also longer than thirty-two bytes")
		b.browser().post(refreshPath, object{"refresh": child}).want(http.StatusUnauthorized).says(notValid)
		b.refresh(grandchild)
	})
}

func TestReuseEndsTheSession(t *testing.T) {
	t.Parallel()
	for name, reuse := range map[string]func(b *bench, parent, child string) (latest string){
		"after ten seconds": func(b *bench, _, child string) string {
			b.clock.Advance(10*time.Second + time.Millisecond)
			return child
		},
		"after the child was used": func(b *bench, _, child string) string { return b.refresh(child) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, nil, func(t *testing.T, b *bench) {
				br := b.register("minji@example.com")
				parent := br.refreshToken()
				other := b.browser()
				other.post("/accounts/login/", object{"email": "minji@example.com", "password": password}).want(http.StatusOK)
				latest := reuse(b, parent, b.refresh(parent))
				b.browser().post(refreshPath, object{"refresh": parent}).want(http.StatusUnauthorized).says(blacklisted)
				b.browser().post(refreshPath, object{"refresh": latest}).want(http.StatusUnauthorized).says(blacklisted)
				b.browser().post(verifyPath, object{"token": latest}).want(http.StatusUnauthorized).says(blacklisted)
				other.post(refreshPath, nil).want(http.StatusOK)
			})
		})
	}
}

func TestManyRefreshesAtOnceMakeOneChild(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, b *bench) {
		parent := b.register("minji@example.com").refreshToken()
		second := &bench{t: b.t, db: b.db, jobs: b.jobs, clock: b.clock, config: b.config}
		second.restart(secret) // another process with the same secret
		const together = 8
		children := make([]string, together)
		var group sync.WaitGroup
		for i := range together {
			group.Go(func() {
				br := []*bench{b, second}[i%2].browser()
				if got := br.post(refreshPath, object{"refresh": parent}); got.Status != http.StatusOK {
					t.Errorf("status %d: %s", got.Status, got.Raw)
				}
				children[i] = br.refreshToken()
			})
		}
		group.Wait()
		for _, child := range children {
			if child != children[0] || child == "" || child == parent {
				t.Fatalf("children differ: %q", children)
			}
		}
		if b.count("refresh_tokens", "TRUE") != 2 {
			t.Errorf("%d rows, want 2", b.count("refresh_tokens", "TRUE"))
		}
		b.refresh(children[0])
	})
}

// Whatever order the database gives them: after theft was noticed no token of the family works.
func TestTheftEndsTheSessionEvenWhileItIsRenewed(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, b *bench) {
		stolen := b.register("minji@example.com").refreshToken()
		tip := b.refresh(b.refresh(stolen))
		var group sync.WaitGroup
		var renewed answer
		br := b.browser()
		group.Go(func() { renewed = br.post(refreshPath, object{"refresh": tip}) })
		group.Go(func() {
			if got := b.browser().post(refreshPath, object{"refresh": stolen}); got.Status != http.StatusUnauthorized {
				t.Errorf("status %d: %s", got.Status, got.Raw)
			}
		})
		group.Wait()
		if renewed.Status == http.StatusOK {
			b.browser().post(refreshPath, object{"refresh": br.refreshToken()}).want(http.StatusUnauthorized).says(blacklisted)
		}
		if alive := b.count("refresh_tokens", "revoked_at IS NULL"); alive != 0 {
			t.Errorf("%d tokens of the family are alive", alive)
		}
	})
}

func TestRefreshRefusesWhatIsNoLiveRefreshToken(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, b *bench) {
		br := b.register("minji@example.com")
		live := br.refreshToken()
		keys, err := token.NewKeys(secret)
		if err != nil {
			t.Fatal(err)
		}
		forge := func(kind token.Kind, user uuid.UUID) string {
			signed, err := keys.Sign(token.Claims{Kind: kind, ID: uuid.New(), UserID: user, Family: uuid.New(), Issued: b.clock.Now(), Expires: b.clock.Now().Add(time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			return signed
		}
		var userID string
		if err := b.db.NewRaw("SELECT user_id FROM users").Scan(t.Context(), &userID); err != nil {
			t.Fatal(err)
		}
		for name, test := range map[string]struct{ refresh, want string }{
			"none":            {"", noToken},
			"nonsense":        {"abc", notValid},
			"three parts":     {"a.b.c", notValid},
			"access":          {br.cookies[account.AccessCookie], wrongType},
			"unknown row":     {forge(token.Refresh, uuid.MustParse(userID)), notValid},
			"unknown user":    {forge(token.Refresh, uuid.New()), `{"detail":"No active account found for the given token.","code":"no_active_account"}`},
			"signature short": {live[:len(live)-4], notValid},
			"NUL":             {live + "\x00", notValid},
		} {
			t.Run(name, func(t *testing.T) {
				got := b.browser().post(refreshPath, object{"refresh": test.refresh})
				got.t = t
				got.want(http.StatusUnauthorized).says(test.want)
				if got.Header.Get("WWW-Authenticate") != `Bearer realm="api"` {
					t.Error("no WWW-Authenticate")
				}
			})
		}
		b.exec("UPDATE users SET is_active = FALSE")
		br.post(refreshPath, nil).want(http.StatusUnauthorized).says(`{"detail":"No active account found for the given token.","code":"no_active_account"}`)
		b.exec("UPDATE users SET is_active = TRUE")
		b.clock.Advance(24*time.Hour + 10*time.Second)
		br.post(refreshPath, nil).want(http.StatusUnauthorized).says(expired)
		b.browser().post(refreshPath, object{"refresh": []int{1}}).want(http.StatusBadRequest).says(`{"refresh":["Not a valid string."]}`)
	})
}

func TestVerifyTellsWhetherATokenIsGood(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, b *bench) {
		br := b.register("minji@example.com")
		access, refresh := br.cookies[account.AccessCookie], br.refreshToken()
		b.browser().post(verifyPath, object{"token": access}).want(http.StatusOK).says(`{}`)
		b.browser().post(verifyPath, object{"token": refresh}).want(http.StatusOK).says(`{}`)
		b.refresh(refresh)
		b.browser().post(verifyPath, object{"token": refresh}).want(http.StatusUnauthorized).says(blacklisted)
		b.browser().post(verifyPath, object{"token": "x"}).want(http.StatusUnauthorized).says(notValid)
		b.browser().post(verifyPath, object{"token": ""}).want(http.StatusBadRequest).says(`{"token":["This field may not be blank."]}`)
		b.browser().post(verifyPath, nil).want(http.StatusBadRequest).says(`{"token":["This field is required."]}`)
		b.clock.Advance(time.Hour)
		b.browser().post(verifyPath, object{"token": access}).want(http.StatusUnauthorized).says(expired)
	})
}

func TestLogoutEndsTheSession(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, b *bench) {
		br := b.register("minji@example.com")
		other := b.browser()
		other.post("/accounts/login/", object{"email": "minji@example.com", "password": password}).want(http.StatusOK)
		first := br.refreshToken()
		second := b.refresh(first)
		b.browser().do(http.MethodGet, logoutPath, nil).want(http.StatusMethodNotAllowed)
		got := br.post(logoutPath, nil).want(http.StatusOK).says(`{"detail":"Successfully logged out."}`)
		if len(br.cookies) != 0 {
			t.Errorf("cookies are left: %v", br.cookies)
		}
		for _, name := range []string{account.AccessCookie, account.RefreshCookie} {
			if cookie := got.Cookies[name]; cookie == nil || cookie.Value != "" || cookie.MaxAge != -1 || !cookie.HttpOnly || !cookie.Secure || cookie.Path != "/" {
				t.Errorf("cookie %s is not cleared: %v", name, cookie)
			}
		}
		for _, dead := range []string{first, second} {
			b.browser().post(refreshPath, object{"refresh": dead}).want(http.StatusUnauthorized).says(blacklisted)
		}
		for _, again := range []any{nil, object{}, object{"refresh": second}, object{"refresh": "nonsense"}, object{"refresh": nil}} {
			b.browser().post(logoutPath, again).want(http.StatusOK)
		}
		body := other.refreshToken()
		b.clock.Advance(48 * time.Hour) // a token that is over still says whose session ends
		b.browser().post(logoutPath, object{"refresh": body}).want(http.StatusOK)
		if alive := b.count("refresh_tokens", "revoked_at IS NULL"); alive != 0 {
			t.Errorf("%d tokens are alive", alive)
		}
	})
}

func TestOldTokensAreDeleted(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, b *bench) {
		revoked := b.register("revoked@example.com")
		revoked.post(logoutPath, nil).want(http.StatusOK)
		b.exec("UPDATE refresh_tokens SET expires_at = ?", b.clock.Now().Add(30*24*time.Hour))
		b.clock.Advance(8 * 24 * time.Hour)
		ended := b.register("over@example.com")
		b.clock.Advance(25 * time.Hour)
		live := b.register("live@example.com")
		dead := b.register("just@example.com")
		justRevoked := dead.refreshToken()
		dead.post(logoutPath, nil).want(http.StatusOK)
		deleted, err := b.accounts.PurgeTokens(context.WithoutCancel(t.Context()))
		if err != nil || deleted != 2 {
			t.Errorf("%d deleted, %v; want 2", deleted, err)
		}
		live.post(refreshPath, nil).want(http.StatusOK)
		b.browser().post(refreshPath, object{"refresh": justRevoked}).want(http.StatusUnauthorized).says(blacklisted)
		ended.post(refreshPath, nil).want(http.StatusUnauthorized).says(expired)
		if again, err := account.DeleteOldTokens(t.Context(), b.db, b.clock.Now()); err != nil || again != 0 {
			t.Errorf("%d deleted again, %v", again, err)
		}
	})
}
