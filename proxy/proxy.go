// Package proxy is the edge: it takes HTTPS from the internet and routes it, by host and path, to upstreams, folders and
// redirects. Load reads its configuration; New and Run make it serve; Reload changes it without dropping a request.
//
// A request goes through edge.go, top to bottom: what it may be, who its client is, which route it takes, whether the
// route's limit admits it, and what the route does.
package proxy

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portico-web/portico/internal/health"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/internal/ratelimit"
	"github.com/portico-web/portico/internal/telemetry"
	"github.com/portico-web/portico/proxy/certs"
	"github.com/portico-web/portico/proxy/compress"
	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/guard"
	"github.com/portico-web/portico/proxy/handover"
	"github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/pace"
	"github.com/portico-web/portico/proxy/server"
)

// Options is what the program around the edge decides. The zero value of each is usable.
type Options struct {
	Log      *slog.Logger         // nil: silence
	Registry *prometheus.Registry // nil: one of the edge's own
	Checks   *health.Checks       // what /readyz shows; nil: a set of the edge's own

	// DataDir keeps the deployed targets (DataDir/deploys.json), and, unless tls.storage names another place, the local CA
	// (DataDir/ca/root.pem) and certificates. "" is ./.portico.
	DataDir string

	// ConfigPath is the file that Reload reads, and that Run watches. "": the configuration stays as it is.
	ConfigPath string
	// Lookup finds the variables of that file; nil is os.LookupEnv.
	Lookup func(string) (string, bool)

	// HTTP, HTTPS and Internal take the place of the configuration's listen addresses when they are not empty. A port of 0
	// is chosen by the system; Addrs tells which.
	HTTP, HTTPS, Internal string

	// Version stands in portico_build_info of a registry of the edge's own.
	Version string

	// Start starts another process of the program, which is to take this one's place; nil: listen.handover is refused.
	Start func() (*Started, error)
	// Succeeded, if it is not nil, is called when another process has taken this one's place, before Run returns.
	Succeeded func(pid int)
}

// Addrs is where a running edge listens; nil where it does not.
type Addrs struct{ HTTP, HTTPS, Internal *net.TCPAddr }

// Proxy is the edge. Its methods may be called concurrently; Run once.
type Proxy struct {
	options   Options
	log       *slog.Logger
	metrics   *metrics
	local     *ratelimit.Local
	passwords *guard.Passwords
	logLines  *logging.Lines // of requests, among those of log; nil: its level is above them
	compress  *compress.Compressor
	streams   forward.Streams
	stickyKey string // of upstreams whose sticky names no secret_file
	exchanges sync.Pool
	current   atomic.Pointer[state]

	deploys   *deploys
	reloading sync.Mutex // held by one reload at a time, by a switch of targets, and by the end
	ended     bool       // guarded by reloading
	certs     *certs.Manager
	refused   atomic.Pointer[error] // why the file on disk is not what serves; nil when it is
	inFlight  sync.WaitGroup
	active    atomic.Int64 // requests that are in flight
	started   atomic.Bool
	ready     chan struct{}
	listeners *server.Listeners
	handing   sync.Mutex        // held while another process prepares to take this one's place
	upgrading sync.Mutex        // held while one that this one started does
	successor *handover.Process // who took it; set before succeeded is closed
	succeeded chan struct{}
	begun     time.Time
	taken     atomic.Int64 // when the configuration in use was taken over, in Unix nanoseconds
	addrs     Addrs        // set before ready is closed
	altSvc    string       // tells clients of HTTP/3; "" where it is not spoken
}

// maxClients bounds how many clients the limits of this process keep in mind.
const maxClients = 200_000

// New prepares an edge; it opens nothing yet. cfg must come from Load or Parse and belongs to the edge from now on.
func New(cfg *config.Config, options Options) (*Proxy, error) {
	options.DataDir = cmp.Or(options.DataDir, ".portico")
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if options.Registry == nil {
		options.Registry = telemetry.NewRegistry("proxy", options.Version)
	}
	if options.Checks == nil {
		options.Checks = &health.Checks{}
	}
	if options.Lookup == nil {
		options.Lookup = os.LookupEnv
	}
	if cfg.Listen.Handover != "" && options.Start == nil {
		return nil, errors.New("listen.handover: this program cannot be replaced while it runs: remove the key")
	}
	p := &Proxy{
		options:  options,
		log:      options.Log,
		local:    ratelimit.NewLocal(maxClients, time.Now),
		compress: compress.New(),
		ready:    make(chan struct{}), succeeded: make(chan struct{}),

		stickyKey: rand.Text(),
		passwords: guard.NewPasswords(),
		logLines:  logging.NewLines(options.Log, "request"),
	}
	p.exchanges.New = func() any { return &exchange{} }
	p.override(cfg)
	var err error
	if p.metrics, err = newMetrics(options.Registry, p); err != nil {
		return nil, fmt.Errorf("the edge's metrics: %w", err)
	}
	p.current.Store(&state{config: cfg})
	return p, nil
}

// override puts the embedding program's addresses in the place of the configuration's.
func (p *Proxy) override(cfg *config.Config) {
	cfg.Listen.HTTP = cmp.Or(p.options.HTTP, cfg.Listen.HTTP)
	cfg.Listen.HTTPS = cmp.Or(p.options.HTTPS, cfg.Listen.HTTPS)
	cfg.Listen.Internal = cmp.Or(p.options.Internal, cfg.Listen.Internal)
}

// Ready is closed when the edge listens. It stays open when Run fails before.
func (p *Proxy) Ready() <-chan struct{} { return p.ready }

// Addrs is where the edge listens; it is known once Ready is closed.
func (p *Proxy) Addrs() Addrs {
	select {
	case <-p.ready:
		return p.addrs
	default:
		return Addrs{}
	}
}

// RootCertificate is the path of the local CA's root certificate, or "" when certificates come from elsewhere. It is known
// once Ready is closed.
func (p *Proxy) RootCertificate() string {
	select {
	case <-p.ready:
		return p.certs.RootFile()
	default:
		return ""
	}
}

// Run serves until ctx ends, then drains: it stops accepting, ends event streams and upgraded connections, waits up to
// limits.drain_timeout for other requests, and returns nil. What cannot be opened is told in one line that names it.
//
// With listen.handover it takes the place of an edge that serves already, without a connection being refused; and once
// another process took its own, it lets what is in flight go on for limits.handover_timeout, and returns nil.
func (p *Proxy) Run(ctx context.Context) (err error) {
	if !p.started.CompareAndSwap(false, true) {
		return errors.New("this edge ran already")
	}
	p.begun = time.Now()
	p.taken.Store(p.begun.UnixNano())
	cfg := p.current.Load().config
	before, inherited, err := p.askPredecessor(ctx, cfg)
	if err != nil {
		return err
	}
	if before != nil {
		defer func() { before.Close(err) }()
	}
	listeners, err := server.Listen(serverSettings(cfg), inherited)
	if err != nil {
		return err
	}
	p.listeners = listeners
	defer listeners.Close()
	p.showAddresses(cfg)
	if p.deploys, err = openDeploys(ctx, p.options.DataDir); err != nil {
		return err
	}
	running, err := p.build(ctx, cfg, nil)
	if err != nil {
		return err
	}
	defer p.close()
	p.current.Store(running)
	p.probeDeployed(ctx, running)
	if err := p.openCertificates(ctx, cfg); err != nil {
		return err
	}
	defer p.closeCertificates()
	sockets, err := openSockets(ctx, cfg, before != nil)
	if err != nil {
		return err
	}
	defer sockets.close()
	if before != nil {
		running.awaitProbes()
		if err := before.TakeOver(ctx); err != nil {
			return err
		}
	}
	sockets.publish(p.log)
	terminated := ctx
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	stopInternal := p.serveInternal(ctx, listeners.Internal())
	defer stopInternal()
	defer p.deploys.stop()
	defer context.AfterFunc(ctx, p.deploys.end)()
	defer p.serveControl(ctx, sockets.admin)()
	defer p.serveHandover(ctx, sockets.handover, leave)()
	defer p.countByMinute()()
	defer p.watch(ctx)()
	p.options.Checks.Add("config", p.checkConfig)
	p.showLimiter(running)
	p.metrics.reloaded(true)
	close(p.ready)
	p.log.Info("edge listens", "http", addrText(p.addrs.HTTP), "https", addrText(p.addrs.HTTPS), "http3", cfg.Listen.HTTP3, "internal", addrText(p.addrs.Internal))
	if before != nil {
		before.Serving()
	}
	return p.serve(ctx, terminated, stopInternal)
}

// showAddresses keeps where the edge listens.
func (p *Proxy) showAddresses(cfg *config.Config) {
	p.addrs.HTTP, p.addrs.HTTPS = p.listeners.HTTP(), p.listeners.HTTPS()
	if internal := p.listeners.Internal(); internal != nil {
		p.addrs.Internal, _ = internal.Addr().(*net.TCPAddr)
	}
	if cfg.Listen.HTTP3 && p.addrs.HTTPS != nil {
		p.altSvc = fmt.Sprintf(`h3=":%d"; ma=86400`, p.addrs.HTTPS.Port)
	}
}

// close closes what the last configuration opened; no reload opens more.
func (p *Proxy) close() {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	p.ended = true
	p.current.Load().close()
}

// serve serves until ctx ends, and as long after that as what is in flight may go on; less when terminated ends, too.
func (p *Proxy) serve(ctx, terminated context.Context, stopInternal func()) error {
	handlers := server.Handlers{Plain: p.servePlain, Secure: p.serveSecure, Refused: p.refuse}
	if p.certs != nil {
		handlers.TLS = p.certs.TLSConfig()
	}
	gently, cancel := context.WithCancel(terminated)
	defer cancel()
	serving, stop := p.untilDrained(ctx)
	defer stop()
	err := p.listeners.Serve(serving, handlers, func() server.Ending {
		ending := server.Ending{Drain: func() time.Duration { return p.current.Load().config.Limits.DrainTimeout }}
		if !p.hasSuccessor() {
			p.options.Checks.Drain()
			p.streams.End()
			return ending
		}
		stopInternal() // the other process answers there
		p.log.Info("another process serves: what is in flight goes on here")
		time.AfterFunc(p.current.Load().config.Limits.HandoverTimeout, cancel)
		context.AfterFunc(gently, p.streams.End)
		ending.Gently = gently.Done()
		return ending
	}, p.log)
	p.inFlight.Wait()
	if access := p.current.Load().access; access != nil {
		access.lines.Flush()
	}
	p.log.Info("edge stopped")
	return err
}

// untilDrained returns a context that ends limits.drain_delay after ctx does. In between the edge serves on, and says that it
// is not ready, so that a load balancer sends new requests elsewhere before connections to here are refused.
func (p *Proxy) untilDrained(ctx context.Context) (serving context.Context, stop func()) {
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-serving.Done():
			return
		case <-ctx.Done():
		}
		if p.hasSuccessor() { // clients find the other process ready
			end()
			return
		}
		p.options.Checks.Drain()
		p.listeners.Part()
		select {
		case <-serving.Done():
		case <-time.After(p.current.Load().config.Limits.DrainDelay):
		}
		end()
	})
	return serving, func() {
		end()
		waiting.Wait()
	}
}

func addrText(addr *net.TCPAddr) string {
	if addr == nil {
		return ""
	}
	return addr.String()
}

// serverSettings is the part of the configuration that needs a restart to change.
func serverSettings(c *config.Config) server.Settings {
	return server.Settings{
		HTTP: c.Listen.HTTP, HTTPS: c.Listen.HTTPS, HTTP3: c.Listen.HTTP3, Internal: c.Listen.Internal,
		HeaderBytes: int(c.Limits.HeaderBytes), TargetBytes: int(c.Limits.TargetBytes), Fields: c.Limits.HeaderFields,
		ReadHeaderTimeout: c.Limits.ReadHeaderTimeout, IdleTimeout: c.Limits.IdleTimeout,
		Connections: c.Limits.Connections, Streams: c.Limits.Streams, HTTP2: http2Bounds(c.Limits.HTTP2),
		Pace: paceOf(c), Relays: prefixes(c.Listen.ProxyProtocol),
	}
}

func http2Bounds(l config.HTTP2Limits) http2.Bounds {
	return http2.Bounds{
		StreamWindow: int(l.StreamWindow), ConnectionWindow: int(l.ConnectionWindow), HeaderTable: int(l.HeaderTable),
		Continuations: l.Continuations, Resets: l.Resets, Frames: l.ControlFrames, Replies: l.UnreadReplies,
	}
}

// pace is the part that clients are held to from one request to the next.
func paceOf(c *config.Config) pace.Pace {
	return pace.Pace{StallTimeout: c.Limits.StallTimeout, BodyRate: int(*c.Limits.BodyRate), BodyGrace: c.Limits.BodyRateGrace}
}

// serveInternal serves the internal port, if there is one; the function that comes back stops that and waits.
func (p *Proxy) serveInternal(ctx context.Context, listener *net.TCPListener) (stop func()) {
	if listener == nil {
		return func() {}
	}
	// It answers, not ready, while the edge drains: so it does not end with ctx but when Run does.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	handler := httpx.Internal(p.options.Registry, p.options.Checks)
	go func() {
		defer close(stopped)
		_ = httpx.Serve(ctx, httpx.NewServer(ctx, handler, p.log), listener, time.Second) // a scrape cut off is nobody's loss
	}()
	return func() {
		cancel()
		<-stopped
	}
}

// checkConfig is degraded while the file on disk is not what serves.
func (p *Proxy) checkConfig(context.Context) health.Result {
	if refused := p.refused.Load(); refused != nil {
		detail := strings.ReplaceAll((*refused).Error(), "\n", "; ")
		return health.Result{Status: health.Degraded, Detail: "the configuration on disk is refused, the one before serves: " + detail}
	}
	return health.Result{Status: health.OK}
}
