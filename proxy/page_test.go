package proxy_test

import (
	"fmt"
	"html"
	"net/http"
	"strings"
)

// page is a page with assets of every kind, all different, that notes which of them work.
type page struct {
	html   string
	assets map[string]asset // by path
}

type asset struct{ kind, content string }

// How many assets a page has: 200 in all.
const (
	pageScripts = 80
	pageImages  = 80
	pageSheets  = 40
)

// newPage makes the page. Its scripts fill the list `ran`, its images are as wide as their number plus one, and its sheets
// give elements their numbers.
func newPage() page {
	p := page{assets: map[string]asset{}}
	var head, body strings.Builder
	head.WriteString("<!doctype html><title>page</title><link rel=icon href=\"data:,\"><script>const ran = []</script>\n")
	padding := strings.Repeat("x", 7000)
	for i := range pageSheets {
		path := fmt.Sprintf("/sheet/%d.css", i)
		p.assets[path] = asset{"text/css", fmt.Sprintf("#s%d { z-index: %d } /* %s */", i, i+1, padding[:100*i])}
		fmt.Fprintf(&head, "<link rel=stylesheet href=%q>\n", path)
		fmt.Fprintf(&body, "<i class=styled id=s%d style=\"position: relative\"></i>\n", i)
	}
	for i := range pageImages {
		path := fmt.Sprintf("/image/%d.svg", i)
		p.assets[path] = asset{"image/svg+xml", fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="1"><desc>%s</desc></svg>`, i+1, padding[:80*i])}
		fmt.Fprintf(&body, "<img src=%q alt=\"\">\n", path)
	}
	for i := range pageScripts {
		path := fmt.Sprintf("/script/%d.js", i)
		p.assets[path] = asset{"text/javascript", fmt.Sprintf("ran.push(%d) // %s", i, padding[:80*i])}
		fmt.Fprintf(&body, "<script src=%q></script>\n", path)
	}
	p.html = head.String() + body.String()
	return p
}

func (p *page) serve(w http.ResponseWriter, r *http.Request) {
	found, known := p.assets[r.URL.Path]
	if r.URL.Path == "/" {
		found, known = asset{"text/html; charset=utf-8", p.html}, true
	}
	if !known {
		http.Error(w, html.EscapeString(r.URL.Path), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", found.kind)
	_, _ = w.Write([]byte(found.content))
}
