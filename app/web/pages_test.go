package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/portico-web/portico/app/account"
	"github.com/portico-web/portico/internal/dbtest"
)

func TestAPersonRegistersSignsInAndPosts(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		s := serve(t, databaseURL)
		schoolID, boardID := s.campus(t, "가온대학교")
		home := fmt.Sprintf("/boards/%d/", boardID)
		b := s.member(t, "otter", strconv.FormatInt(schoolID, 10))
		b.open("/").lacks("Welcome!").want(200, "Your school")
		b.submit("/logout/").at("/").want(200, "You are signed out.", "/signup/").lacks("otter")

		b.open(home).want(200, "Members of this school can write here.").open("/login/?next="+url.QueryEscape(home)).
			submit("/login/", "email", "OTTER@example.com", "password", password).at(home).want(200, "You are signed in.", "No posts yet")
		b.submit(home, "title", "잃어버린 우산", "content", "도서관에\r\n두고 왔어요").want(200, "잃어버린 우산", "도서관에\n두고 왔어요", "Your post is out.", "otter", "You")
		page := b.path
		b.open(page).lacks("Your post is out.")
		s.browser(t).open("/").want(200, "잃어버린 우산", "가온대학교 게시판").open(page).want(200, "otter").lacks("/edit/")

		b.open(page+"edit/").want(200, "도서관에").submit(page+"edit/", "title", "찾았어요", "content", "고마워요", "anonymous", "on").
			at(page).want(200, "찾았어요", "Anonymous", "edited", "Your changes are saved.")
		s.browser(t).open(page).want(200, "Anonymous").lacks("otter")
		b.open(page).submit(page+"delete/").at(home).want(200, "The post is deleted.", "No posts yet")
		b.open(page).want(404, "Page not found")
	})
}

func TestFormsTellFaultsBesideTheirFieldsAndKeepInput(t *testing.T) {
	t.Parallel()
	s := serve(t, dbtest.SQLite(t))
	schoolID, boardID := s.campus(t, "가온대학교")
	id, home := strconv.FormatInt(schoolID, 10), fmt.Sprintf("/boards/%d/", boardID)

	b := s.browser(t)
	b.open("/signup/").submit("/signup/", "nickname", "<b>otter</b>", "email", "otter@example.com", "password1", "sesame-open-1", "password2", "x").
		want(400, "Choose your school.", `value="otter@example.com"`, `value="&lt;b&gt;otter&lt;/b&gt;"`).lacks("sesame-open-1")
	b.submit("/signup/", "school_id", id, "nickname", "otter", "email", "otter", "password1", "short", "password2", "short", "admission_year", "MMXX").
		want(400, "A valid integer is required.", `<option value="`+id+`" selected>`)
	b.submit("/signup/", "school_id", id, "nickname", "otter", "email", "otter", "password1", "short", "password2", "short").
		want(400, "This password is too short.", `id="email-errors"><ul class="errors">`)
	b.submit("/signup/", "school_id", "999", "nickname", "otter", "email", "o@example.com", "password1", password, "password2", password).
		want(400, "object does not exist")
	b.submit("/signup/", "school_id", id, "nickname", "otter", "email", "o@example.com", "password1", password, "password2", "different-horse").
		want(400, "The two password fields didn").lacks(password)
	b.open("/login/").submit("/login/", "email", "admin@example.com", "password", "wrong-password").
		want(400, "Unable to log in with provided credentials.", `value="admin@example.com"`).lacks("wrong-password")

	b = s.member(t, "heron", id)
	b.open(home).submit(home, "title", strings.Repeat("가", 201), "content", "  ", "anonymous", "on").
		want(400, "Ensure this field has no more than 200 characters.", "This field may not be blank.", strings.Repeat("가", 201), " checked", "<details class=\"card compose\" open>")
	s.member(t, "heron2", id).open("/signup/").at("/") // signed in already
}

func TestHostileTextIsShownAsText(t *testing.T) {
	t.Parallel()
	s := serve(t, dbtest.SQLite(t))
	schoolID, boardID := s.campus(t, `<script>alert("s")</script>`)
	home := fmt.Sprintf("/boards/%d/", boardID)
	b := s.member(t, "mallory", strconv.FormatInt(schoolID, 10))
	b.open(home).submit(home, "title", `"><script>alert("t")</script>`, "content", `</textarea><img src=x onerror=alert(1)>`)
	page := b.path
	for _, path := range []string{"/", home, page, page + "edit/", "/signup/"} {
		s.browserAs(t, b).open(path).want(200).lacks("<script>").lacks("<img src=x").lacks(`onerror=alert(1)>"`)
	}
	if policy := b.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") {
		t.Errorf("Content-Security-Policy: %s", policy)
	}
}

// browserAs is the same browser: the name says that it stays signed in.
func (s *site) browserAs(_ *testing.T, b *browser) *browser { return b }

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, dbtest.SQLite(t))
	schoolID, boardID := s.campus(t, "A")
	home := fmt.Sprintf("/boards/%d/", boardID)
	b := s.member(t, "otter", strconv.FormatInt(schoolID, 10))
	form := url.Values{"title": {"t"}, "content": {"c"}, "email": {"otter@example.com"}, "password": {password}}
	for _, path := range []string{home, "/logout/", "/login/", "/signup/"} {
		b.send("POST", path, form).want(403, "This form has expired")
	}
	b.open(home)
	b.headers["Origin"] = "https://evil.example"
	b.submit(home, "title", "t", "content", "c").want(403)
	b.headers = map[string]string{"Sec-Fetch-Site": "cross-site"}
	b.open(home).submit("/logout/").want(403)
	b.open(home).submit("/lang/", "to", "ko").want(403)
	b.headers = map[string]string{"Origin": s.URL, "Sec-Fetch-Site": "same-origin"}
	b.open(home).submit(home, "title", "mine", "content", "c").want(200, "Your post is out.")
	// Signing in is guarded even for somebody without a session.
	s.browser(t).send("POST", "/login/", form).want(403)
}

func TestWhoMayNotIsToldSo(t *testing.T) {
	t.Parallel()
	s := serve(t, dbtest.SQLite(t))
	ours, ourBoard := s.campus(t, "A")
	_, theirBoard := s.campus(t, "B")
	b := s.member(t, "otter", strconv.FormatInt(ours, 10))
	home := fmt.Sprintf("/boards/%d/", ourBoard)
	b.open(home).submit(home, "title", "t", "content", "c").want(200)
	page := b.path
	b.open(fmt.Sprintf("/boards/%d/", theirBoard)).want(200, "Only members of this board").lacks("<textarea")

	other := s.member(t, "heron", strconv.FormatInt(ours, 10))
	other.open(page).want(200).lacks("/edit/")
	other.open(page+"edit/").want(403, "Not allowed")
	other.open("/").send("POST", page+"delete/", url.Values{"csrfmiddlewaretoken": {other.cookie(account.CSRFCookie)}}).want(403, "Not allowed")

	visitor := s.browser(t)
	visitor.open(page+"edit/").at("/login/?next="+url.QueryEscape(page+"edit/")).want(200, "Sign in")
	visitor.send("POST", home, url.Values{"title": {"t"}, "content": {"c"}, "csrfmiddlewaretoken": {visitor.cookie(account.CSRFCookie)}}).
		at("/login/?next=" + url.QueryEscape(home))

	staff := s.browser(t)
	staff.open("/login/").submit("/login/", "email", "admin@example.com", "password", password).want(200, "Administrator")
	staff.open(page).want(200, "/edit/").open(page + "edit/").want(200).lacks(`name="anonymous"`)
	staff.submit(page+"edit/", "title", "tidied", "content", "c").want(200, "tidied", "otter")
	staff.open(home).want(200, "You belong to no school yet")
}

func TestAnEditOfAPostChangedMeanwhileIsHeldBack(t *testing.T) {
	t.Parallel()
	s := serve(t, dbtest.SQLite(t))
	schoolID, boardID := s.campus(t, "A")
	home := fmt.Sprintf("/boards/%d/", boardID)
	b := s.member(t, "otter", strconv.FormatInt(schoolID, 10))
	page := b.open(home).submit(home, "title", "t", "content", "c").want(200).path
	b.open(page + "edit/")
	first := *b
	b.submit(page+"edit/", "title", "quick", "content", "c").want(200, "quick")
	first.submit(page+"edit/", "title", "slow", "content", "my text").want(412, "Somebody has changed this post meanwhile", "my text", `value="slow"`)
	first.submit(page+"edit/", "title", "slow", "content", "my text").want(200, "my text").at(page)
}

func TestASessionIsRenewedOnPages(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		s := serve(t, databaseURL)
		schoolID, boardID := s.campus(t, "A")
		home := fmt.Sprintf("/boards/%d/", boardID)
		b := s.member(t, "otter", strconv.FormatInt(schoolID, 10))
		before := b.cookie(account.RefreshCookie)
		b.forget(account.AccessCookie) // as browsers do once it is over
		b.open(home).want(200, "otter", "<textarea")
		if b.cookie(account.AccessCookie) == "" || b.cookie(account.RefreshCookie) == before {
			t.Error("no new cookies came with the page")
		}
		b.forget(account.AccessCookie)
		b.submit(home, "title", "still here", "content", "c").want(200, "still here")

		used := b.cookie(account.RefreshCookie)
		b.submit("/logout/").want(200, "You are signed out.")
		address, _ := url.Parse(s.URL)
		b.client.Jar.SetCookies(address, []*http.Cookie{{Name: account.RefreshCookie, Value: used, Path: "/", Secure: true}})
		b.open("/").want(200, "/signup/").lacks(`class="who"`)
		if b.cookie(account.RefreshCookie) != "" {
			t.Error("a dead refresh token stays in the browser")
		}
	})
}

func TestPagesLeadOnlyToThisSite(t *testing.T) {
	t.Parallel()
	s := serve(t, dbtest.SQLite(t))
	for _, next := range []string{"https://evil.example/", "//evil.example/", `/\evil.example`, "javascript:alert(1)", "/\t/evil.example", "boards", "/" + strings.Repeat("a", 3000)} {
		b := s.browser(t)
		b.open("/login/?next="+url.QueryEscape(next)).want(200, `name="next" value="/"`)
		b.submit("/login/", "email", "admin@example.com", "password", password, "next", next).at("/").want(200, "Administrator")
	}
}

func TestTheLanguageIsChosen(t *testing.T) {
	t.Parallel()
	s := serve(t, dbtest.SQLite(t))
	s.campus(t, "가온대학교")
	b := s.browser(t, "Accept-Language", "ko-KR,ko;q=0.9,en;q=0.5")
	b.open("/").want(200, `<html lang="ko">`, "최근 글")
	b.open("/login/").submit("/lang/", "to", "en").at("/login/").want(200, `<html lang="en">`, "Sign in")
	b.open("/nowhere/").want(404, `<html lang="en">`)
	b.open("/").submit("/lang/", "to", "ko").at("/").want(200, `<html lang="ko">`)
	b.open("/login/").submit("/login/", "email", "x@example.com", "password", "wrong-password").want(400, "로그인")
	b.open("/boards/999/").want(404, "페이지를 찾을 수 없습니다")
	s.browser(t).open("/").want(200, `<html lang="en">`)
}

func TestPagesOfABoard(t *testing.T) {
	t.Parallel()
	s := serve(t, dbtest.SQLite(t))
	schoolID, boardID := s.campus(t, "A")
	home := fmt.Sprintf("/boards/%d/", boardID)
	b := s.member(t, "otter", strconv.FormatInt(schoolID, 10))
	b.open(home)
	for i := range 21 {
		b.open(home).submit(home, "title", fmt.Sprintf("post-%02d", i), "content", "c").want(200)
	}
	b.open(home).want(200, "post-20", "Page 1 of 2", `href="`+home+`?page=2"`).lacks("post-00")
	b.open(home+"?page=2").want(200, "post-00", "Page 2 of 2", `href="`+home+`"`).lacks("post-20")
	for _, page := range []string{"3", "0", "-1", "x", "99999999999999999999"} {
		b.open(home + "?page=" + page).want(404)
	}
}

func TestAddressesAreForgiving(t *testing.T) {
	t.Parallel()
	s := serve(t, dbtest.SQLite(t))
	b := s.browser(t)
	b.open("/login").at("/login/").want(200)
	b.send("HEAD", "/", nil).want(200)
	if b.text != "" {
		t.Error("HEAD came with a body")
	}
	b.send("PUT", "/login/", url.Values{}).want(405)
	for _, path := range []string{"/posts/1/", "/posts/x/", "/boards/99999999999999999999/", "/nowhere", "/assets/style.css", "/assets/", "/posts/1/delete/"} {
		b.open(path)
		if b.status != 404 && b.status != 405 {
			t.Errorf("%s: %d", path, b.status)
		}
	}
	b.open("/").want(200, "There are no schools yet.", "Nobody has written anything yet.")
	b.open("/signup/").want(200, "There are no schools yet.").lacks("password1")
}

func TestOurFailureShowsNothingOfItsCause(t *testing.T) {
	t.Parallel()
	s := serve(t, dbtest.SQLite(t))
	if _, err := s.db.ExecContext(t.Context(), "ALTER TABLE schools RENAME TO away"); err != nil {
		t.Fatal(err)
	}
	b := s.browser(t).open("/").want(500, "Something went wrong", "Reference")
	for _, secret := range []string{"schools", "SQL", "no such table", ".go:"} {
		b.lacks(secret)
	}
	if b.header.Get("Cache-Control") != "private, no-store" {
		t.Errorf("Cache-Control: %s", b.header.Get("Cache-Control"))
	}
}
