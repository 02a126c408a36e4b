package web_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/mail"
)

var loaded = regexp.MustCompile(`(?:src|href)="([^"]*)"`)

func TestPagesLoadNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	s := serve(t, dbtest.SQLite(t))
	s.campus(t, "A")
	b := s.browser(t)
	seen := map[string]bool{}
	for _, path := range []string{"/", "/login/", "/signup/", "/boards/1/", "/api/docs", "/nowhere"} {
		b.open(path)
		for _, found := range loaded.FindAllStringSubmatch(b.text, -1) {
			address := found[1]
			if parsed, err := url.Parse(address); err != nil || parsed.Host != "" || parsed.Scheme != "" {
				t.Errorf("%s leads to %s", path, address)
			}
			if strings.HasPrefix(address, "/assets/") {
				seen[address] = true
			}
		}
		for _, inline := range []string{" style=", "<style", "<script>", " onclick=", "javascript:"} {
			b.lacks(inline)
		}
	}
	if len(seen) != 3 {
		t.Errorf("pages load %v, want a style sheet, an icon and a script", seen)
	}
	for address := range seen {
		b.open(address).want(200)
		if cache := b.header.Get("Cache-Control"); cache != "public, max-age=31536000, immutable" {
			t.Errorf("%s: Cache-Control %s", address, cache)
		}
		if b.header.Get("Content-Type") == "" || len(b.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: headers %v", address, b.header)
		}
	}
	b.open("/favicon.ico").want(200, "<svg")
}

func TestTheDocumentationShowsTheAPI(t *testing.T) {
	t.Parallel()
	s := serve(t, dbtest.SQLite(t))
	b := s.browser(t)
	b.open("/api/docs").want(200, "/api/v1/posts/{id}", "PATCH", "user_id", `href="#schema-LoosePostForm"`, `id="schema-Post"`,
		"at most 20000 characters", "curl -X POST", "board_id", "If-Match", s.URL[len("https://"):])
	b.open("/api/openapi.json").want(200, `"openapi":"3.1`, `"required":["board_id","title","content"]`, `"maxLength":20000`)
}

func TestTheMailboxPageIsForTheMachineAndAllowedNetworks(t *testing.T) {
	t.Parallel()
	s := serve(t, dbtest.SQLite(t))
	if err := s.mailbox.Deliver(t.Context(), mail.Message{ID: "1", To: "otter@example.com", Subject: "<i>Welcome</i>", Text: "first line\nsecond"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from   string
		status int
	}{{"127.0.0.1", 200}, {"192.0.2.9", 200}, {"203.0.113.9", 404}, {"", 404}} {
		b := s.browser(t)
		if c.from != "" {
			b.headers["X-Forwarded-For"] = c.from
		}
		for _, path := range []string{"/mailbox/", "/mailbox/messages.json"} {
			b.open(path).want(c.status)
			if c.status == 200 {
				b.want(200, "otter@example.com", "first line").lacks("<i>")
			} else {
				b.lacks("otter")
			}
		}
	}
}
