package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// lookupTimeout bounds one question about a name.
	lookupTimeout = 5 * time.Second
	// maxAddresses bounds how many targets one name stands for.
	maxAddresses = 256
)

// follow keeps the targets of a member as its name's addresses are, until ctx ends; the first time, it asks at once. A name
// that does not resolve keeps what it has.
func (p *Pool) follow(ctx context.Context, m *member) {
	once := sync.OnceFunc(func() { close(m.resolved) })
	defer once()
	ticker := time.NewTicker(p.settings.Resolve)
	defer ticker.Stop()
	lost := false
	for {
		at, err := p.endpoints(ctx, m)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			if p.change(ctx, m, at) {
				p.log.Info("upstream target has other addresses", "upstream", p.settings.Name, "target", m.String(), "addresses", len(at))
			}
		case !lost:
			p.log.Warn("upstream target does not resolve, its last addresses stay", "upstream", p.settings.Name, "target", m.String(), "error", err)
		}
		lost = err != nil
		once()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

var errNoAddress = errors.New("the name has no address")

// endpoints are where the servers behind a member's name listen, in order: each IPv4 address is one. A server that has an IPv6
// address besides cannot be told from another; so these count only when there are no others.
func (p *Pool) endpoints(ctx context.Context, m *member) (at []endpoint, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	host, port, _ := net.SplitHostPort(m.Host)
	found, err := p.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	if slices.ContainsFunc(found, netip.Addr.Is4) {
		found = slices.DeleteFunc(found, func(address netip.Addr) bool { return !address.Is4() })
	}
	if len(found) == 0 {
		return nil, errNoAddress
	}
	slices.SortFunc(found, netip.Addr.Compare)
	found = slices.Compact(found)
	for _, address := range found[:min(len(found), maxAddresses)] {
		at = append(at, endpoint{"tcp", net.JoinHostPort(address.String(), port)})
	}
	return at, nil
}

func (p *Pool) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	if p.settings.Lookup != nil {
		return p.settings.Lookup(ctx, name)
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
}
