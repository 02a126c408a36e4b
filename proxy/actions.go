package proxy

import (
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/proxy/files"
	"github.com/portico-web/portico/proxy/forward"
)

// forwardTo makes the action of a route with an upstream.
func (made *route) forwardTo(forwarder *forward.Forwarder) func(http.ResponseWriter, *http.Request, *exchange) {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) {
		sent := forward.Exchange{
			Path: x.path, Client: x.client.String(), Chain: x.chain, Proto: x.proto, Host: r.Host,
			RequestID: x.requestID, Traceparent: x.traceparent,
		}
		if x.body != nil {
			sent.Stalled = x.body.stalled.Load
		}
		if asserted := r.Header.Get("X-Forwarded-Host"); asserted != "" && x.trusted {
			sent.Host = asserted
		}
		if made.StripPrefix {
			sent.Prefix = strings.TrimSuffix(made.Path, "/")
			sent.Path = localPath(strings.TrimPrefix(x.path, sent.Prefix))
		}
		forwarder.Forward(w, r, sent)
	}
}

// answerFailure is what clients see of an upstream in trouble.
func answerFailure(w http.ResponseWriter, r *http.Request, failure forward.Failure) {
	switch failure {
	case forward.NoTarget:
		w.Header().Set("Retry-After", "5")
		httpx.WriteFailure(w, r, http.StatusServiceUnavailable, "The service is not available right now. Please try again in a moment.")
	case forward.TooLarge:
		httpx.WriteFailure(w, r, http.StatusRequestEntityTooLarge, "The request is too large.")
	case forward.TooSlow:
		httpx.WriteFailure(w, r, http.StatusRequestTimeout, "The request took too long to arrive.")
	default:
		httpx.WriteFailure(w, r, http.StatusBadGateway, "The service did not answer. Please try again in a moment.")
	}
}

// serveFiles makes the action of a route with a folder.
func (p *Proxy) serveFiles(made *route, folder *files.Server) func(http.ResponseWriter, *http.Request, *exchange) {
	prefix := strings.TrimSuffix(made.Path, "/")
	return func(w http.ResponseWriter, r *http.Request, x *exchange) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			httpx.WriteFailure(w, r, http.StatusMethodNotAllowed, "This method is not allowed here.")
			return
		}
		err := folder.Serve(w, r, strings.TrimPrefix(x.path, prefix), x.path)
		switch {
		case err == nil:
		case errors.Is(err, files.ErrNotFound):
			httpx.WriteFailure(w, r, http.StatusNotFound, "Not found.")
		default:
			p.log.ErrorContext(r.Context(), "file cannot be served", "route", made.Path, "error", err)
			httpx.WriteFailure(w, r, http.StatusInternalServerError, "A server error occurred.")
		}
	}
}

// redirect is the action of a route with a redirect. In its target stand {host}, {path} and {uri} (the path with the query).
func (made *route) redirect(w http.ResponseWriter, r *http.Request, x *exchange) {
	to := strings.NewReplacer("{host}", hostText(x.host), "{path}", x.path, "{uri}", withQuery(x.path, r.URL.RawQuery)).Replace(made.Redirect.To)
	if strings.HasPrefix(to, "/") {
		to = localPath(to)
	}
	sendTo(w, made.Redirect.Status, to)
}

// redirectSite leads to the same place by HTTPS, under the site's first host if the one asked for wants that.
func (p *Proxy) redirectSite(w http.ResponseWriter, r *http.Request, x *exchange, elsewhere bool) {
	host, scheme, port := x.host, x.proto, ""
	if elsewhere {
		host = x.site.Name()
	}
	host = hostText(host)
	if p.addrs.HTTPS != nil {
		scheme = "https"
		// Whoever reached us by HTTPS knows the port already, also one that something before us maps.
		if _, asked, err := net.SplitHostPort(r.Host); err == nil && !x.plain {
			port = asked
		} else if x.plain {
			port = strconv.Itoa(p.addrs.HTTPS.Port)
		}
	} else if _, asked, err := net.SplitHostPort(r.Host); err == nil {
		port = asked
	}
	if port != "" && !(scheme == "https" && port == "443") && !(scheme == "http" && port == "80") {
		host += ":" + port
	}
	sendTo(w, http.StatusPermanentRedirect, scheme+"://"+host+withQuery(x.path, r.URL.RawQuery))
}

// hostText is a host as it stands in a URL.
func hostText(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

func sendTo(w http.ResponseWriter, status int, location string) {
	w.Header().Set("Location", location)
	w.WriteHeader(status)
}

func altSvc(port int) string { return `h3=":` + strconv.Itoa(port) + `"; ma=86400` }
