package proxy

import (
	"cmp"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/portico-web/portico/proxy/files"
	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/handler"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/routing"
	"github.com/portico-web/portico/proxy/upstream"
)

// forwardTo makes the action of a route with an upstream.
func (made *route) forwardTo(service *service) func(*exchange) {
	prefix := ""
	if made.StripPrefix {
		prefix = strings.TrimSuffix(made.Path, "/")
	}
	return func(x *exchange) {
		x.sent = x.assertions()
		if prefix != "" {
			x.sent.Prefix = prefix
			x.sent.Path = localPath(strings.TrimPrefix(x.path, prefix))
		}
		if made.rewrite != nil {
			path, err := routing.Normalize(localPath(made.rewrite.of(x)))
			if err != nil {
				x.fail(http.StatusBadRequest, "The address of this request is malformed.")
				return
			}
			x.sent.Path = path
		}
		service.serve(x)
	}
}

// assertions are what the edge says of the request towards a target, which sees its path as it is.
func (x *exchange) assertions() forward.Exchange {
	return forward.Exchange{
		Path: x.path, Client: x.clientText, Chain: x.chain, Proto: x.proto, Host: cmp.Or(x.forwardedHost, x.Head().Authority),
		RequestID: x.requestID, Traceparent: x.traceparent,
	}
}

// forwardFailed answers what clients see of an upstream in trouble, or of their own.
func (x *exchange) forwardFailed(forwarder *forward.Forwarder, err error) {
	failure, ok := errors.AsType[*forward.Failure](err)
	if !ok { // an answer that began cannot be completed
		x.proxy.log.DebugContext(x.context(), "answer broken off", "upstream", forwarder.Pool().Settings().Name, "error", err)
		x.Abort()
		return
	}
	x.out = x // what was to be compressed is not what is said now
	switch failure.Kind {
	case forward.ClientGone:
		x.status = forward.StatusClientGone
		x.Abort()
		return
	case forward.TooLarge:
		x.fail(http.StatusRequestEntityTooLarge, "The request is too large.")
		return
	case forward.TooSlow:
		x.fail(http.StatusRequestTimeout, "The request took too long to arrive.")
		return
	case forward.Malformed:
		x.fail(http.StatusBadRequest, "The request is malformed.")
		return
	}
	x.proxy.log.WarnContext(x.context(), "upstream failed", "upstream", forwarder.Pool().Settings().Name, "error", failure)
	switch failure.Kind {
	case forward.NoTarget, forward.Busy:
		x.failUnavailable(hopeOf(failure))
	case forward.TimedOut:
		x.fail(http.StatusGatewayTimeout, "The service did not answer in time. Please try again in a moment.")
	default:
		x.fail(http.StatusBadGateway, "The service did not answer. Please try again in a moment.")
	}
}

// hopeOf is when a client may hope for an answer: once the circuit breaker lets one through, else in a moment.
func hopeOf(failure *forward.Failure) time.Duration {
	if open, ok := errors.AsType[*upstream.OpenError](failure); ok {
		return open.For
	}
	return inAMoment
}

// serveFiles makes the action of a route with a folder.
func (made *route) serveFiles(folder *files.Server) func(*exchange) {
	prefix := strings.TrimSuffix(made.Path, "/")
	return func(x *exchange) {
		if method := x.Head().Method; method != http.MethodGet && method != http.MethodHead {
			x.failWith(&message.Field{Name: []byte("Allow"), Value: []byte("GET, HEAD")},
				http.StatusMethodNotAllowed, "This method is not allowed here.")
			return
		}
		x.serve(func(w http.ResponseWriter, r *http.Request) {
			err := folder.Serve(w, r, strings.TrimPrefix(x.path, prefix), x.path)
			switch {
			case err == nil:
			case errors.Is(err, files.ErrNotFound):
				x.writeFailure(w, r, http.StatusNotFound, "Not found.")
			default:
				x.proxy.log.ErrorContext(r.Context(), "file cannot be served", "route", made.Path, "error", err)
				x.writeFailure(w, r, http.StatusInternalServerError, "A server error occurred.")
			}
		})
	}
}

// redirect is the action of a route with a redirect.
func (made *route) redirect(x *exchange) { x.redirectTo(made.Redirect.Status, made.redirectTo.of(x)) }

// redirectTo answers with an address of the configuration. One that begins with a slash is on this host.
func (x *exchange) redirectTo(status int, to string) {
	if strings.HasPrefix(to, "/") {
		to = localPath(to)
	}
	x.redirect(status, to)
}

// moved answers for a path that the site's list of redirects has.
func (s *site) moved(x *exchange) (answered bool) {
	to, ok := s.redirects[x.path]
	if !ok {
		return false
	}
	address, fragment, hasFragment := strings.Cut(to.of(x), "#")
	if !strings.Contains(address, "?") {
		address = withQuery(address, x.Head().Query)
	}
	if hasFragment {
		address += "#" + fragment
	}
	x.redirectTo(http.StatusPermanentRedirect, address)
	return true
}

// redirectSite leads to the same place by HTTPS, under the site's first host if the one asked for wants that.
func (x *exchange) redirectSite(elsewhere bool) {
	host, scheme, port := x.host, x.proto, ""
	if elsewhere {
		host = x.site.Name()
	}
	host = hostText(host)
	_, asked, err := net.SplitHostPort(x.Head().Authority)
	if https := x.proxy.addrs.HTTPS; https != nil {
		scheme = "https"
		// Whoever reached us by HTTPS knows the port already, also one that something before us maps.
		switch {
		case err == nil && !x.plain:
			port = asked
		case x.plain && !x.trusted: // a balancer's port for HTTPS is its own
			port = strconv.Itoa(https.Port)
		}
	} else if err == nil {
		port = asked
	}
	if port != "" && !(scheme == "https" && port == "443") && !(scheme == "http" && port == "80") {
		host += ":" + port
	}
	x.redirect(http.StatusPermanentRedirect, scheme+"://"+host+withQuery(x.path, x.Head().Query))
}

// hostText is a host as it stands in a URL.
func hostText(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// noContent answers that there is nothing to say.
func (x *exchange) noContent() {
	x.answerBare(&message.Head{Status: http.StatusNoContent})
}

// asksForHealth tells whether a load balancer wants to know whether to send requests here.
func (x *exchange) asksForHealth() bool {
	head := x.Head()
	return head.Path == x.state.config.Listen.HealthPath && (head.Method == http.MethodGet || head.Method == http.MethodHead)
}

// tellHealth answers for the edge itself, on any host and by any protocol, to anybody: so it tells nothing more, and looks at
// nothing that takes time.
func (x *exchange) tellHealth() {
	x.health = true
	head := &message.Head{Status: http.StatusOK}
	if x.proxy.options.Checks.Draining() {
		head.Status = http.StatusServiceUnavailable
	}
	head.Add(message.CacheControl, "no-store")
	x.answerBare(head)
}

const challengePath = "/.well-known/acme-challenge/"

// challenge answers a certificate authority that wants to see proof of a name.
func (p *Proxy) challenge(x *exchange) bool {
	head := x.Head()
	if p.certs == nil || !strings.HasPrefix(head.Path, challengePath) {
		return false
	}
	w := handler.NewWriter(x)
	if !p.certs.HandleChallenge(w, handler.Request(x.context(), x, head.Path)) {
		return false
	}
	x.finish(w.Finish())
	return true
}
