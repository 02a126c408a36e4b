package proxy

import (
	"net/http"
	"strings"
	"time"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/routing"
)

func (p *Proxy) serveSecure(stream message.Stream) { p.serveStream(stream, false) }

func (p *Proxy) servePlain(stream message.Stream) { p.serveStream(stream, true) }

func (p *Proxy) serveStream(stream message.Stream, plain bool) {
	p.inFlight.Add(1)
	defer p.inFlight.Done()
	x := p.begin(stream, plain)
	defer p.conclude(x)
	x.answer()
}

// refuse answers a request that could not be taken in.
func (p *Proxy) refuse(stream message.Stream, refusal *http1.Error) {
	p.inFlight.Add(1)
	defer p.inFlight.Done()
	x := p.begin(stream, stream.TLS() == nil)
	defer p.conclude(x)
	x.refusal = refusal.Reason
	x.fail(refusal.Status, refusalText(refusal.Status))
}

func refusalText(status int) string {
	switch status {
	case http.StatusRequestTimeout:
		return "The request took too long to arrive."
	case http.StatusRequestURITooLong:
		return "The address of this request is too long."
	case http.StatusRequestHeaderFieldsTooLarge:
		return "The head of this request is too large."
	case http.StatusNotImplemented:
		return "This method is not allowed here."
	default:
		return "The request is malformed."
	}
}

// answer is the chain.
func (x *exchange) answer() {
	p, head := x.proxy, x.Head()
	if x.plain && p.challenge(x) {
		return
	}
	if x.asksForHealth() {
		x.tellHealth()
		return
	}
	if head.Path == "*" { // OPTIONS about the server as a whole (RFC 9110 section 9.3.7)
		x.noContent()
		return
	}
	var err error
	if x.path, err = routing.Normalize(head.Path); err != nil {
		x.fail(http.StatusBadRequest, "The address of this request is malformed.")
		return
	}
	head.Query = routing.Query(head.Query)
	if x.host = routing.CleanHost(head.Authority); x.host == "" {
		x.fail(http.StatusBadRequest, "The host of this request is malformed.")
		return
	}
	site, elsewhere, ok := x.state.table.Site(x.host)
	if !ok {
		x.fail(http.StatusNotFound, "There is no site at this address.")
		return
	}
	x.site = site
	if x.proto == "http" && p.addrs.HTTPS != nil || elsewhere {
		x.redirectSite(elsewhere)
		return
	}
	if under := site.Value.maintenance; under != nil && under.answer(x) {
		return
	}
	if site.Value.moved(x) {
		return
	}
	found, ok := site.Route(x.path)
	if !ok {
		x.fail(http.StatusNotFound, "Not found.")
		return
	}
	for _, reading := range routing.Readings(x.path) {
		// An upstream that takes //x or %2Fx for /x must not be reached past the policies of /x.
		if other, _ := site.Route(reading); other != found {
			x.fail(http.StatusBadRequest, "The address of this request is malformed.")
			return
		}
	}
	x.route = found.Value
	if x.route.RedirectSlash && x.path+"/" == x.route.Path {
		x.redirect(http.StatusPermanentRedirect, withQuery(x.route.Path, head.Query))
		return
	}
	for _, passes := range x.route.policies {
		if !passes(x) {
			return
		}
	}
	x.act()
}

// refuseEncodedSlash is the policy of a route whose upstream would take %2F for a slash.
func refuseEncodedSlash(x *exchange) bool {
	if strings.Contains(x.path, "%2F") {
		x.fail(http.StatusBadRequest, "The address of this request is malformed.")
		return false
	}
	return true
}

// refuseLargerThan makes the policy that bounds content of a known length; other content is counted as it comes.
func refuseLargerThan(most int64) policy {
	return func(x *exchange) bool {
		if x.Head().Length > most {
			x.fail(http.StatusRequestEntityTooLarge, "The request is too large.")
			return false
		}
		return true
	}
}

// act takes away what the route may not learn, puts there what only the edge may say, and does what the route does.
func (x *exchange) act() {
	head := x.Head()
	head.DeleteFunc(x.withheld)
	for _, field := range x.identity {
		head.AddNamed(field.name, field.value)
	}
	if len(x.route.codings) > 0 {
		x.compressed = x.proxy.compress.Wrap(x, head, x.route.codings)
		defer x.compressed.Release()
		x.out = &x.compressed
	}
	x.route.requestEdits.apply(&head.Fields)
	x.route.act(x)
}

// conclude ends an exchange: it answers a panic, writes the access log and counts.
func (p *Proxy) conclude(x *exchange) {
	if panicked := recover(); panicked != nil {
		x.recovered(panicked)
	}
	took := time.Since(x.start)
	x.count(took)
	if x.spans != nil {
		x.endSpans(took)
	}
	x.logAccess(took)
	p.end(x)
}

// withQuery joins a path and a raw query.
func withQuery(path, query string) string {
	if query == "" {
		return path
	}
	return path + "?" + query
}

// localPath keeps a redirect on its host: two slashes at the front would name another.
func localPath(path string) string { return "/" + strings.TrimLeft(path, "/") }
