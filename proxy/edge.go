package proxy

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/internal/telemetry"
	"github.com/portico-web/portico/proxy/guard"
	"github.com/portico-web/portico/proxy/routing"
)

// exchange is what the edge finds out about one request on its way.
type exchange struct {
	state       *state
	plain       bool       // it came in on the plain listener
	peer        netip.Addr // the other end of the connection
	trusted     bool       // the peer may speak for others
	client      netip.Addr
	chain       string // X-Forwarded-For to hand on
	proto       string // http or https
	host        string // the host asked for, in routing.CleanHost's form
	path        string // in routing.Normalize's form
	requestID   string
	traceparent string
	site        *routing.Site[*route]
	route       *route
	body        *pacedBody // nil without one
	limited     *limited   // what the rate limit said; nil without one
}

func (p *Proxy) serveSecure(w http.ResponseWriter, r *http.Request) { p.serveHTTP(w, r, false) }

// plainHandler answers the plain listener: challenges of certificate authorities first.
func (p *Proxy) plainHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.certs != nil && p.certs.HandleChallenge(w, r) {
			return
		}
		p.serveHTTP(w, r, true)
	})
}

func (p *Proxy) serveHTTP(w http.ResponseWriter, r *http.Request, plain bool) {
	p.inFlight.Add(1)
	defer p.inFlight.Done()
	start := time.Now()
	x := &exchange{state: p.current.Load(), plain: plain}
	x.identify(r)
	ctx := logging.WithRequestID(telemetry.WithTraceparent(r.Context(), x.traceparent), x.requestID)
	r = r.WithContext(ctx)
	recorder := &recorder{ResponseWriter: w, finish: func(header http.Header) { p.finishHeader(header, x) }, patience: x.state.config.Limits.StallTimeout}
	if r.ContentLength != 0 {
		x.body = pace(w, r.Body, recorder.patience)
		r.Body, recorder.body = x.body, x.body
	}
	defer func() { p.conclude(ctx, recorder, r, x, start, recover()) }()
	p.answer(recorder, r, x)
}

// answer is the chain.
func (p *Proxy) answer(w http.ResponseWriter, r *http.Request, x *exchange) {
	if guard.MethodRefused(r.Method) {
		httpx.WriteFailure(w, r, http.StatusMethodNotAllowed, "This method is not allowed here.")
		return
	}
	var err error
	// Where RawPath stands, it is as sent; EscapedPath would unescape %2F in a path that holds something unusual elsewhere.
	if x.path, err = routing.Normalize(cmp.Or(r.URL.RawPath, r.URL.EscapedPath())); err != nil {
		httpx.WriteFailure(w, r, http.StatusBadRequest, "The address of this request is malformed.")
		return
	}
	r.URL.RawQuery = routing.Query(r.URL.RawQuery)
	if x.host = routing.CleanHost(r.Host); x.host == "" {
		httpx.WriteFailure(w, r, http.StatusBadRequest, "The host of this request is malformed.")
		return
	}
	site, elsewhere, ok := x.state.table.Site(x.host)
	if !ok {
		httpx.WriteFailure(w, r, http.StatusNotFound, "There is no site at this address.")
		return
	}
	x.site = site
	if x.proto == "http" && p.addrs.HTTPS != nil || elsewhere {
		p.redirectSite(w, r, x, elsewhere)
		return
	}
	found, ok := site.Route(x.path)
	if !ok {
		httpx.WriteFailure(w, r, http.StatusNotFound, "Not found.")
		return
	}
	x.route = found.Value
	if x.route.RedirectSlash && x.path+"/" == x.route.Path {
		sendTo(w, http.StatusPermanentRedirect, withQuery(x.route.Path, r.URL.RawQuery))
		return
	}
	if x.route.limit != nil && !p.admit(w, r, x) {
		return
	}
	if limit := x.state.config.Limits.BodyBytes; limit > 0 {
		if r.ContentLength > int64(limit) {
			httpx.WriteFailure(w, r, http.StatusRequestEntityTooLarge, "The request is too large.")
			return
		}
		r.Body = http.MaxBytesReader(nil, r.Body, int64(limit))
	}
	sanitize(r.Header, x.trusted)
	if !x.route.Compress {
		x.route.act(w, r, x)
		return
	}
	compressed, finish := p.gzip.Wrap(w, r)
	x.route.act(compressed, r, x)
	finish()
}

// identify finds out who is at the other end, and gives the request its ids.
func (x *exchange) identify(r *http.Request) {
	x.peer = httpx.PeerAddr(r).WithZone("")
	x.trusted = guard.Trusted(x.peer, x.state.trusted)
	x.client, x.chain = guard.Client(x.peer, r.Header.Values("X-Forwarded-For"), x.state.trusted)
	x.proto = "https"
	if r.TLS == nil {
		x.proto = "http"
		if proto := r.Header.Get("X-Forwarded-Proto"); x.trusted && proto == "https" {
			x.proto = proto
		}
	}
	if x.requestID = r.Header.Get(httpx.HeaderRequestID); !x.trusted || !httpx.ValidRequestID(x.requestID) {
		x.requestID = httpx.NewRequestID()
	}
	x.traceparent = r.Header.Get("Traceparent")
	if len(r.Header["Traceparent"]) != 1 || !guard.TraceparentValid(x.traceparent) {
		x.traceparent = guard.NewTraceparent()
		r.Header.Del("Tracestate") // it belongs to the trace that is not continued (W3C Trace Context, section 3.3)
	}
}

// sanitize drops the fields that must not reach an upstream.
func sanitize(header http.Header, trusted bool) {
	for name := range header {
		if guard.FieldDropped(name, trusted) {
			delete(header, name)
		}
	}
	if upgrade := header.Get("Upgrade"); upgrade != "" && !guard.UpgradeAllowed(upgrade) {
		delete(header, "Upgrade")
		delete(header, "Http2-Settings")
	}
}

// finishHeader puts the edge's own fields on an answer, just before it is sent.
func (p *Proxy) finishHeader(header http.Header, x *exchange) {
	header.Set(httpx.HeaderRequestID, x.requestID)
	if x.limited != nil {
		x.limited.describe(header)
	}
	if x.state.config.Listen.HTTP3 && p.addrs.HTTPS != nil && !x.plain {
		header.Set("Alt-Svc", altSvc(p.addrs.HTTPS.Port))
	}
}

// conclude ends a request: it answers a panic, writes the access log and counts.
func (p *Proxy) conclude(ctx context.Context, w *recorder, r *http.Request, x *exchange, start time.Time, panicked any) {
	aborted := p.recovered(ctx, w, r, panicked)
	if w.status != http.StatusSwitchingProtocols {
		w.deadline(time.Now().Add(w.patience)) // for what is still in buffers
	}
	took := time.Since(start)
	x.countIn(p.metrics, w.statusOr(http.StatusOK), took)
	p.logAccess(ctx, w, r, x, took, aborted)
	if aborted {
		panic(http.ErrAbortHandler)
	}
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
