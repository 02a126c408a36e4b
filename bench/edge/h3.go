package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"

	"github.com/quic-go/quic-go/http3"
)

const (
	http3Connections = 32
	http3Streams     = 8 // of each
)

// http3Load puts a proxy under load by HTTP/3.
func http3Load(ctx context.Context, a attempt) (figure, error) {
	var transports []*http3.Transport
	defer func() {
		for _, transport := range transports {
			_ = transport.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, a.span()+2*patience)
	defer cancel()
	ask := func(transport *http3.Transport) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.server.url, nil)
		if err != nil {
			return err
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("answered %s", response.Status)
		}
		_, err = io.Copy(io.Discard, response.Body)
		return err
	}
	for range http3Connections { // handshakes are no part of it
		transport := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: a.roots, ServerName: "localhost"}}
		transports = append(transports, transport)
		if err := ask(transport); err != nil {
			return nil, err
		}
	}
	return a.bear(func() (outcome, error) {
		seen, took := rush(a.span(), http3Connections*http3Streams, func(worker int) error {
			return ask(transports[worker%http3Connections])
		})
		if len(seen.took) == 0 {
			return outcome{}, fmt.Errorf("not one answer: %w", seen.err)
		}
		return outcome{requests: len(seen.took), bad: seen.bad, rate: float64(len(seen.took)) / took.Seconds(), p99: seen.part(99)}, nil
	})
}
