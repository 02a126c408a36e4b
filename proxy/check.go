package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/portico-web/portico/internal/ratelimit"
	"github.com/portico-web/portico/proxy/certs"
	"github.com/portico-web/portico/proxy/document"
	"github.com/portico-web/portico/proxy/routing"
	"github.com/portico-web/portico/proxy/upstream"
)

// The values that keys with a fixed set of them take.
const (
	issuerLocal = "local"
	issuerACME  = "acme"
	issuerFiles = "files"

	balanceRoundRobin = "round_robin"
	balanceLeastConn  = "least_conn"

	keyClientIP = "client_ip"

	encodedSlashPass   = "pass"
	encodedSlashRefuse = "refuse"

	// longestRefill bounds how long a burst may take to come back; it keeps a limit's arithmetic far from overflow too.
	longestRefill = 366 * 24 * time.Hour
)

// checker finds what is wrong with the values of a configuration, beyond their form.
type checker struct {
	config *Config
	doc    *document.Document
	hosts  map[string]string // host → path of the value that named it first
}

func (c *checker) all() {
	c.listen()
	c.tls()
	if c.config.Redis != "" {
		if err := ratelimit.CheckURL(c.config.Redis); err != nil {
			c.doc.Faultf("redis", "redis: %s", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.config.RateLimits)) {
		c.rateLimit("rate_limits."+name, c.config.RateLimits[name])
	}
	for _, name := range slices.Sorted(maps.Keys(c.config.Upstreams)) {
		c.upstream("upstreams."+name, c.config.Upstreams[name])
	}
	c.limits()
	if len(c.config.Sites) == 0 {
		c.doc.Faultf("sites", "no sites: name at least one, with hosts and routes")
	}
	c.hosts = map[string]string{}
	for i := range c.config.Sites {
		c.site(fmt.Sprintf("sites[%d]", i), &c.config.Sites[i])
	}
}

func (c *checker) oneOf(path, value string, known ...string) {
	if !slices.Contains(known, value) {
		c.doc.Faultf(path, "%s: unknown value %q%s", path, value, document.Suggest(value, known))
	}
}

func (c *checker) listen() {
	listen := c.config.Listen
	for _, key := range []struct{ path, address string }{
		{"listen.http", listen.HTTP}, {"listen.https", listen.HTTPS}, {"listen.internal", listen.Internal},
	} {
		if key.address == "" {
			continue
		}
		if err := checkAddress(key.address); err != nil {
			c.doc.Faultf(key.path, "%s: %s", key.path, err)
		}
	}
	if listen.HTTP3 && listen.HTTPS == "" {
		c.doc.Faultf("listen.http3", "listen.http3 needs listen.https")
	}
	if socket, isUnix := strings.CutPrefix(listen.Admin, "unix:"); listen.Admin != "" && (!isUnix || !strings.HasPrefix(socket, "/")) {
		c.doc.Faultf("listen.admin", "listen.admin: %q is not a socket such as unix:/run/portico/admin.sock", listen.Admin)
	}
}

func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err == nil && host != "" && host != "localhost" {
		_, err = netip.ParseAddr(host)
	}
	if err != nil {
		return fmt.Errorf("%q is not an address such as :443 or 127.0.0.1:8443", address)
	}
	return nil
}

func (c *checker) tls() {
	settings := &c.config.TLS
	c.oneOf("tls.issuer", settings.Issuer, issuerLocal, issuerACME, issuerFiles)
	if settings.Issuer == issuerFiles && len(settings.Certificates) == 0 && c.config.Listen.HTTPS != "" {
		c.doc.Faultf("tls", "tls.issuer is files, so tls.certificates must name them: [{cert: FILE, key: FILE}]")
	}
	if isRedis(settings.Storage) {
		if err := ratelimit.CheckURL(settings.Storage); err != nil {
			c.doc.Faultf("tls.storage", "tls.storage: %s", err)
		}
		c.storageKey(settings)
	}
	if settings.Directory != "" {
		if u, err := url.Parse(settings.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
			c.doc.Faultf("tls.directory", "tls.directory: %q is not an https:// URL", settings.Directory)
		}
	}
	if settings.DirectoryCA != "" {
		if _, err := os.ReadFile(settings.DirectoryCA); err != nil {
			c.doc.Faultf("tls.directory_ca", "tls.directory_ca: %s cannot be read (%s)", settings.DirectoryCA, cause(err))
		}
	}
	for i, pair := range settings.Certificates {
		path := fmt.Sprintf("tls.certificates[%d]", i)
		if pair.Cert == "" || pair.Key == "" {
			c.doc.Faultf(path, "%s wants both cert and key", path)
			continue
		}
		if _, err := tls.LoadX509KeyPair(pair.Cert, pair.Key); err != nil {
			c.doc.Faultf(path, "%s: %s", path, err)
		}
		c.config.watched = append(c.config.watched, pair.Cert, pair.Key)
	}
}

// storageKey reads the secret that private keys in Redis are encrypted with.
func (c *checker) storageKey(settings *TLS) {
	if settings.StorageKeyFile == "" {
		c.doc.Faultf("tls.storage", "tls.storage is Redis, so tls.storage_key_file must name a file with a secret of %d bytes or more that private keys are encrypted with (openssl rand -hex 32)", certs.MinStorageKey)
		return
	}
	content, err := os.ReadFile(settings.StorageKeyFile)
	settings.storageKey = strings.TrimRight(string(content), "\r\n")
	switch {
	case errors.Is(err, fs.ErrPermission):
		c.doc.Faultf("tls.storage_key_file", "tls.storage_key_file: %s cannot be read by user %d%s: give the file to that user, or let its group read it", settings.StorageKeyFile, os.Geteuid(), permissions(settings.StorageKeyFile))
	case err != nil:
		c.doc.Faultf("tls.storage_key_file", "tls.storage_key_file: %s cannot be read (%s)", settings.StorageKeyFile, cause(err))
	case len(settings.storageKey) < certs.MinStorageKey:
		c.doc.Faultf("tls.storage_key_file", "tls.storage_key_file: %s holds %d bytes: make it %d or more (openssl rand -hex 32)", settings.StorageKeyFile, len(settings.storageKey), certs.MinStorageKey)
	}
}

// permissions tells who may read a file, as far as that can be seen.
func permissions(file string) string {
	info, err := os.Stat(file)
	if err != nil {
		return ""
	}
	text := fmt.Sprintf(" (mode %04o", info.Mode().Perm())
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		text += fmt.Sprintf(", owner %d, group %d", owner.Uid, owner.Gid)
	}
	return text + ")"
}

func (c *checker) rateLimit(path string, limit RateLimit) {
	if limit.Key != keyClientIP {
		c.oneOf(path+".key", limit.Key, keyClientIP)
	}
	if limit.Rate.Events == 0 {
		c.doc.Faultf(path, "%s wants a rate, such as 50/s", path)
	}
	if limit.Burst < 0 || limit.Burst > 1_000_000 {
		c.doc.Faultf(path+".burst", "%s.burst: %d is not between 1 and 1000000", path, limit.Burst)
	} else if limit.Rate.Events > 0 && int64(limit.Burst) > int64(longestRefill/limit.Rate.Period)*int64(limit.Rate.Events) {
		c.doc.Faultf(path+".burst", "%s.burst: at this rate %d take longer than a year to come back: choose a smaller burst or a higher rate", path, limit.Burst)
	}
}

func (c *checker) upstream(path string, u Upstream) {
	if len(u.Targets) == 0 {
		c.doc.Faultf(path, "%s has no targets: name at least one, as in [\"app:8000\"]", path)
	}
	seen := map[string]bool{}
	for i, target := range u.Targets {
		at := fmt.Sprintf("%s.targets[%d]", path, i)
		if _, err := upstream.ParseTarget(target); err != nil {
			c.doc.Faultf(at, "%s: %s", at, err)
		}
		if seen[target] {
			c.doc.Faultf(at, "%s: %s is named twice", at, target)
		}
		seen[target] = true
	}
	c.oneOf(path+".balance", u.Balance, balanceRoundRobin, balanceLeastConn)
	if u.ResponseTimeout > 24*time.Hour {
		c.doc.Faultf(path+".response_timeout", "%s.response_timeout: %s is longer than a day", path, u.ResponseTimeout)
	}
	if u.Health == nil {
		return
	}
	if _, err := routing.Normalize(pathOnly(u.Health.Path)); err != nil {
		c.doc.Faultf(path+".health.path", "%s.health.path: %q does not begin with a slash", path, u.Health.Path)
	}
	if u.Health.Port < 0 || u.Health.Port > 65535 {
		c.doc.Faultf(path+".health.port", "%s.health.port: %d is not a port", path, u.Health.Port)
	}
	if u.Health.Interval < 50*time.Millisecond {
		c.doc.Faultf(path+".health.interval", "%s.health.interval: %s is shorter than 50ms", path, u.Health.Interval)
	}
}

func pathOnly(target string) string {
	path, _, _ := strings.Cut(target, "?")
	return path
}

func (c *checker) limits() {
	limits := c.config.Limits
	if limits.HeaderBytes < 4<<10 || limits.HeaderBytes > 16<<20 {
		c.doc.Faultf("limits.header_bytes", "limits.header_bytes: %d is not between 4KiB and 16MiB", limits.HeaderBytes)
	}
	for _, key := range []struct {
		path               string
		value, least, most int64
	}{
		{"limits.connections", int64(limits.Connections), 1, 1_000_000},
		{"limits.streams", int64(limits.Streams), 1, 10_000},
		{"limits.header_fields", int64(limits.HeaderFields), 8, 10_000},
		{"limits.target_bytes", int64(limits.TargetBytes), 256, int64(limits.HeaderBytes)},
		{"limits.body_rate", int64(*limits.BodyRate), 0, 1 << 30},
		{"limits.http2.stream_window", int64(limits.HTTP2.StreamWindow), 64 << 10, 64 << 20},
		{"limits.http2.connection_window", int64(limits.HTTP2.ConnectionWindow), int64(limits.HTTP2.StreamWindow), 1 << 30},
		{"limits.http2.header_table", int64(limits.HTTP2.HeaderTable), 1, 64 << 10},
		{"limits.http2.continuations", int64(limits.HTTP2.Continuations), 1, 10_000},
		{"limits.http2.resets", int64(limits.HTTP2.Resets), 1, 100_000},
		{"limits.http2.control_frames", int64(limits.HTTP2.ControlFrames), 10, 1_000_000},
		{"limits.http2.unread_replies", int64(limits.HTTP2.UnreadReplies), 1, 100_000},
	} {
		if key.value < key.least || key.value > key.most {
			c.doc.Faultf(key.path, "%s: %d is not between %d and %d", key.path, key.value, key.least, key.most)
		}
	}
	for _, key := range []struct {
		path  string
		value time.Duration
	}{
		{"limits.read_header_timeout", limits.ReadHeaderTimeout},
		{"limits.idle_timeout", limits.IdleTimeout},
		{"limits.stall_timeout", limits.StallTimeout},
		{"limits.drain_timeout", limits.DrainTimeout},
		{"limits.body_rate_grace", limits.BodyRateGrace},
	} {
		if key.value > 24*time.Hour {
			c.doc.Faultf(key.path, "%s: %s is longer than a day", key.path, key.value)
		}
	}
}

func (c *checker) site(path string, site *Site) {
	if len(site.Hosts) == 0 {
		c.doc.Faultf(path, "%s has no hosts: name at least one, such as example.com, *.example.com, or \"*\" for any", path)
	}
	c.siteHosts(path+".hosts", site.Hosts)
	c.siteHosts(path+".redirect_from", site.RedirectFrom)
	if len(site.RedirectFrom) > 0 && len(site.Hosts) > 0 && strings.Contains(site.Hosts[0], "*") {
		c.doc.Faultf(path+".hosts[0]", "%s.redirect_from leads to the site's first host, which must not be a wildcard (%s)", path, site.Hosts[0])
	}
	if len(site.Routes) == 0 {
		c.doc.Faultf(path, "%s has no routes: name at least one, such as {path: /, upstream: NAME}", path)
	}
	paths := map[string]bool{}
	for i := range site.Routes {
		at := fmt.Sprintf("%s.routes[%d]", path, i)
		route := &site.Routes[i]
		c.route(at, route)
		if key := routing.Key(route.Path); paths[key] {
			c.doc.Faultf(at+".path", "%s.path: the site has two routes for %s", at, route.Path)
		} else {
			paths[key] = true
		}
	}
}

func (c *checker) siteHosts(path string, hosts []string) {
	for i, host := range hosts {
		at := fmt.Sprintf("%s[%d]", path, i)
		clean, ok := routing.ParseHost(host)
		if !ok {
			c.doc.Faultf(at, "%s: %q is not a host such as example.com, *.example.com or \"*\" (no scheme, no port, no path)", at, host)
			continue
		}
		if earlier, double := c.hosts[clean]; double {
			c.doc.Faultf(at, "%s: the host %s is already named by %s", at, clean, earlier)
		}
		c.hosts[clean] = at
		hosts[i] = clean
	}
}
