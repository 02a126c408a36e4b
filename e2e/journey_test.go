package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestStudentRegistersGetsMailAndPosts(t *testing.T) {
	t.Parallel()
	forms(t, func(t *testing.T, p *platform) {
		admin, student := p.client(), p.client()
		admin.signInAsAdmin(p)
		var school, board struct {
			ID int `json:"id"`
		}
		admin.do(http.StatusCreated, http.MethodPost, "/api/v1/schools", map[string]any{"school_name": "한빛대학교"}).json(t, &school)
		admin.do(http.StatusCreated, http.MethodPost, "/board/", map[string]any{"category": "진로", "name": "진로게시판", "school_id": school.ID}).json(t, &board)

		var session struct{ Access string }
		student.do(http.StatusCreated, http.MethodPost, "/accounts/registration/", map[string]any{
			"email": "mina@example.com", "password1": "long enough 77", "password2": "long enough 77",
			"school_id": school.ID, "nickname": "미나", "admission_year": 2024,
		}).json(t, &session)
		eventually(t, patience, func() (bool, string) {
			mails := student.mails("mina@example.com")
			return len(mails) == 1, fmt.Sprintf("%d mails", len(mails))
		})

		student.access = session.Access
		var post struct {
			ID    int    `json:"id"`
			Title string `json:"title"`
		}
		student.do(http.StatusCreated, http.MethodPost, fmt.Sprintf("/api/v1/boards/%d/posts", board.ID), map[string]any{
			"title": "인턴 후기", "content": "좋았어요 <script>alert(1)</script>",
		}).json(t, &post)
		var page struct {
			Count   int
			Results []struct{ Title string }
		}
		stranger := p.client()
		stranger.do(http.StatusOK, http.MethodGet, fmt.Sprintf("/api/v1/boards/%d/posts?ordering=-created_at", board.ID), nil).json(t, &page)
		if page.Count != 1 || page.Results[0].Title != "인턴 후기" {
			t.Errorf("the board shows %+v", page)
		}
		if html := string(stranger.do(http.StatusOK, http.MethodGet, fmt.Sprintf("/posts/%d/", post.ID), nil).body); strings.Contains(html, "<script>alert") || !strings.Contains(html, "인턴 후기") {
			t.Error("the post's page lacks the title or holds the script")
		}

		eventually(t, patience, func() (bool, string) {
			var tasks map[string]struct{ Name, State string }
			admin.flower(http.StatusOK, "api/tasks?taskname=account.welcome_mail").json(t, &tasks)
			for _, task := range tasks {
				return len(tasks) == 1 && task.State == "SUCCESS", fmt.Sprint(tasks)
			}
			return false, "the dashboard knows no task"
		})

		student.do(http.StatusNoContent, http.MethodDelete, fmt.Sprintf("/api/v1/posts/%d", post.ID), nil)
		stranger.do(http.StatusNotFound, http.MethodGet, fmt.Sprintf("/api/v1/posts/%d", post.ID), nil)
	})
}

// signInAsAdmin makes the client an administrator's. The three processes have none until app createadmin makes it.
func (c *client) signInAsAdmin(p *platform) {
	c.t.Helper()
	if p.embedded == nil {
		p.createAdmin()
	}
	var session struct{ Access string }
	c.do(http.StatusOK, http.MethodPost, "/accounts/login/", map[string]any{"email": adminEmail, "password": adminPassword}).json(c.t, &session)
	c.access = session.Access
}

func TestEdgeSpeaksHTTPSAlone(t *testing.T) {
	t.Parallel()
	forms(t, func(t *testing.T, p *platform) {
		edge := p.embedded
		pattern := `(http://localhost:\d+)`
		if edge == nil {
			edge, pattern = p.proxy, `"http":"([^"]+)"`
		}
		plain := edge.waitFor(pattern)
		plain = "http://localhost:" + plain[strings.LastIndexByte(plain, ':')+1:]
		c := p.client()
		c.base = plain
		redirect := c.do(http.StatusPermanentRedirect, http.MethodGet, "/boards/?page=2", nil)
		if got, want := redirect.header.Get("Location"), p.url+"/boards/?page=2"; got != want {
			t.Errorf("redirected to %q, want %q", got, want)
		}
		c.base = p.url
		front := c.do(http.StatusOK, http.MethodGet, "/", nil)
		if front.header.Get("X-Request-Id") == "" || front.header.Get("Alt-Svc") == "" {
			t.Errorf("headers %v lack the request id or the offer of HTTP/3", front.header)
		}
		slash := c.do(http.StatusPermanentRedirect, http.MethodGet, "/flower", nil)
		if got := slash.header.Get("Location"); !strings.HasSuffix(got, "/flower/") {
			t.Errorf("/flower leads to %q", got)
		}
		c.do(http.StatusUnauthorized, http.MethodGet, "/flower/", nil)
	})
}

func TestForgedAddressOpensNoMailbox(t *testing.T) {
	t.Parallel()
	p := startEmbedded(t, t.TempDir())
	c := p.client()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/mailbox/messages.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Forwarded-For", "203.0.113.9")
	got, err := c.send(request)
	if err != nil {
		t.Fatal(err)
	}
	if got.status != http.StatusOK {
		t.Errorf("a loopback client's own X-Forwarded-For counted: %d", got.status)
	}
}
