package certs

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
)

// Pair names the PEM files of a certificate chain and its key.
type Pair struct{ Cert, Key string }

// fileCertificates are certificates that somebody else gets and renews.
type fileCertificates struct {
	byName map[string][]*tls.Certificate
	first  *tls.Certificate
}

func loadFiles(pairs []Pair) (*fileCertificates, error) {
	loaded := &fileCertificates{byName: map[string][]*tls.Certificate{}}
	for _, pair := range pairs {
		certificate, err := tls.LoadX509KeyPair(pair.Cert, pair.Key)
		if err != nil {
			return nil, fmt.Errorf("the certificate %s with the key %s: %w", pair.Cert, pair.Key, err)
		}
		if loaded.first == nil {
			loaded.first = &certificate
		}
		for _, name := range certificate.Leaf.DNSNames {
			name = strings.ToLower(name)
			loaded.byName[name] = append(loaded.byName[name], &certificate)
		}
		for _, ip := range certificate.Leaf.IPAddresses {
			if addr, ok := netip.AddrFromSlice(ip); ok {
				name := addr.Unmap().String()
				loaded.byName[name] = append(loaded.byName[name], &certificate)
			}
		}
	}
	return loaded, nil
}

// find returns the certificate for what the client asks for: its own name first, then the wildcard above it; among several,
// the first whose key and signature the client supports.
func (f *fileCertificates) find(hello *tls.ClientHelloInfo) *tls.Certificate {
	name := serverName(hello)
	if certificate := supported(hello, f.byName[name]); certificate != nil {
		return certificate
	}
	if dot := strings.IndexByte(name, '.'); dot > 0 {
		return supported(hello, f.byName["*"+name[dot:]])
	}
	return nil
}

func supported(hello *tls.ClientHelloInfo, candidates []*tls.Certificate) *tls.Certificate {
	for _, candidate := range candidates {
		if hello.SupportsCertificate(candidate) == nil {
			return candidate
		}
	}
	if len(candidates) > 0 {
		return candidates[0]
	}
	return nil
}

// covers tells whether a certificate stands for host, a wildcard for its wildcard only.
func (f *fileCertificates) covers(host string) bool {
	if f.byName[host] != nil {
		return true
	}
	dot := strings.IndexByte(host, '.')
	return dot > 0 && f.byName["*"+host[dot:]] != nil
}

// serverName is the name that the client asks for, or without one the address that it reached us by.
func serverName(hello *tls.ClientHelloInfo) string {
	if hello.ServerName != "" {
		return strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	}
	if hello.Conn == nil {
		return ""
	}
	local, err := netip.ParseAddrPort(hello.Conn.LocalAddr().String())
	if err != nil {
		return ""
	}
	return local.Addr().Unmap().WithZone("").String()
}
