package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/portico-web/portico/internal/dbtest"
)

// browser starts headless Chromium with a profile of its own. The local CA is not in its trust store, so certificate
// errors are passed over; the tests that use Go's client check the chain.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := dbtest.Require(t, "Debian: apt-get install chromium", "chromium", "chromium-browser", "google-chrome")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("ignore-certificate-errors", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("no-first-run", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("accept-lang", "en"))
	allocator, stopBrowser := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stopBrowser)
	ctx, stop := chromedp.NewContext(allocator)
	t.Cleanup(stop)
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	t.Cleanup(cancel)
	return ctx
}

func TestPersonRegistersSignsInPostsAndOperatorSeesTheJob(t *testing.T) {
	t.Parallel()
	p := startEmbedded(t, t.TempDir())
	admin := p.client()
	admin.signInAsAdmin(p)
	var school, board struct {
		ID int `json:"id"`
	}
	admin.do(http.StatusCreated, http.MethodPost, "/api/v1/schools", map[string]any{"school_name": "Hanbit University"}).json(t, &school)
	admin.do(http.StatusCreated, http.MethodPost, "/api/v1/boards", map[string]any{"category": "Life", "name": "Free board", "school_id": school.ID}).json(t, &board)

	ctx := browser(t)
	do := func(what string, steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	submit := func(what, button string) {
		t.Helper()
		if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(button))); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	shows := func(want string) {
		t.Helper()
		text, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("main")))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text, want) {
			t.Errorf("the page does not show %q but: %s", want, text)
		}
	}
	fill := func(name, value string) chromedp.Action[chromedp.Void] {
		return chromedp.SetValue(chromedp.CSS(`main [name="`+name+`"]`), value)
	}

	do("registration form", chromedp.Navigate(p.url+"/signup/"),
		fill("email", "sora@example.com"), fill("nickname", "Sora"), fill("school_id", strconv.Itoa(school.ID)), fill("admission_year", "2025"),
		fill("password1", "long enough 77"), fill("password2", "long enough 77"))
	submit("register", `main form .actions button`)
	submit("sign out", `form[action="/logout/"] button`)
	do("sign-in form", chromedp.Navigate(p.url+"/login/"), fill("email", "sora@example.com"), fill("password", "long enough 77"))
	submit("sign in", `main form .actions button`)
	shows("Free board")
	do("board", chromedp.Navigate(fmt.Sprintf("%s/boards/%d/", p.url, board.ID)), chromedp.Click(chromedp.CSS("main details summary")),
		fill("title", "Lost umbrella"), fill("content", "Blue, in the library."))
	submit("post", `main form .actions button`)
	shows("Lost umbrella")

	operator, err := url.Parse(p.url + "/flower/tasks")
	if err != nil {
		t.Fatal(err)
	}
	operator.User = url.UserPassword(adminEmail, adminPassword)
	do("dashboard", chromedp.Navigate(operator.String()))
	shows("account.welcome_mail")
}
