package httpx

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
)

// Client is who is at the other end, as far as it can be believed.
type Client struct {
	Addr      netip.Addr // the client's address; invalid when it cannot be told
	Asserted  bool       // the address came from a trusted proxy's X-Forwarded-For
	Secure    bool       // the client spoke HTTPS, to us or to the trusted proxy
	Host      string     // the host that the client asked for
	UserAgent string
}

type clientKey struct{}

// ClientOf is the client that WithClient found.
func ClientOf(ctx context.Context) Client {
	client, _ := ctx.Value(clientKey{}).(Client)
	return client
}

// WithClient finds out who the client is and keeps it in the request's context. X-Forwarded-* of a peer outside trusted is
// ignored; from a trusted one, the rightmost address of X-Forwarded-For that is not itself trusted is the client.
func WithClient(trusted []netip.Prefix, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client := Client{Addr: PeerAddr(r), Secure: r.TLS != nil, Host: r.Host, UserAgent: r.UserAgent()}
		if Contains(trusted, client.Addr) {
			if addr, ok := forwardedFor(r.Header.Values("X-Forwarded-For"), trusted); ok {
				client.Addr, client.Asserted = addr, true
			}
			client.Secure = client.Secure || r.Header.Get("X-Forwarded-Proto") == "https"
			if host := r.Header.Get("X-Forwarded-Host"); host != "" {
				client.Host = host
			}
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), clientKey{}, client)))
	})
}

// PeerAddr is the address of the connection's other end; invalid when it has none (a unix socket).
func PeerAddr(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap()
}

// Contains tells whether one of the prefixes holds addr.
func Contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, prefix := range prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// forwardedFor walks the chain from its right end, where our own proxies wrote. A chain of trusted addresses only (a
// request from this very machine) yields its leftmost one.
func forwardedFor(values []string, trusted []netip.Prefix) (netip.Addr, bool) {
	chain := strings.Split(strings.Join(values, ","), ",")
	var last netip.Addr
	for i := len(chain) - 1; i >= 0; i-- {
		addr, err := netip.ParseAddr(strings.TrimSpace(chain[i]))
		if err != nil {
			break
		}
		last = addr.Unmap()
		if !Contains(trusted, last) {
			break
		}
	}
	return last, last.IsValid()
}
