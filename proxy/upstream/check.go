package upstream

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// checkTimeout bounds a check of a target that is not probed otherwise.
	checkTimeout = 5 * time.Second
	// checkEvery is how long to wait between two checks of such a target.
	checkEvery = 500 * time.Millisecond
	// checkSoon bounds that for all others: who waits for a new target does not want to wait for its probes.
	checkSoon = time.Second
	// smokeBytes is how much of an answer is read at most.
	smokeBytes = 16 << 20
	// checkedAtOnce bounds how many servers of a target are asked at a time.
	checkedAtOnce = 32
)

// Check asks a target, whether or not it is in a pool, once what a pool's probes would ask: every server that its name stands
// for. Without probes in the settings, any answer to GET / but an error of the server's (5xx) will do: the application may want
// a login there.
func (s Settings) Check(ctx context.Context, target string) error {
	return s.each(ctx, target, func(ctx context.Context, server *Target) error {
		if s.Health != nil {
			url, client := prober(server, s.Health)
			return ask(ctx, client, url, s.Health.Timeout)
		}
		return get(ctx, server, "/", "", checkTimeout, func(status int) bool { return status < 500 })
	})
}

// CheckEvery is how long to wait between two checks in a row.
func (s Settings) CheckEvery() time.Duration {
	if s.Health == nil {
		return checkEvery
	}
	return min(s.Health.Interval, checkSoon)
}

// Smoke gets a path of every server of a target as a client of host would by HTTPS, and reads the answer to its end: 2xx and
// 3xx are good.
func (s Settings) Smoke(ctx context.Context, target, path, host string) error {
	timeout := cmp.Or(s.ResponseTimeout, DefaultResponseTimeout)
	return s.each(ctx, target, func(ctx context.Context, server *Target) error {
		return get(ctx, server, path, host, timeout, func(status int) bool { return status >= 200 && status <= 399 })
	})
}

// each asks the servers of a target side by side: a name may stand for many. The first failure ends the others' questions.
func (s Settings) each(ctx context.Context, target string, ask func(context.Context, *Target) error) error {
	servers, err := s.servers(ctx, target)
	if err != nil {
		return err
	}
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(checkedAtOnce)
	for _, server := range servers {
		asking.Go(func() error { return ask(ctx, server) })
	}
	return asking.Wait()
}

// servers are what a pool would make of a target.
func (s Settings) servers(ctx context.Context, target string) (servers []*Target, err error) {
	address, err := ParseTarget(target)
	if err != nil {
		return nil, err
	}
	config, err := s.TLS.Config()
	if err != nil {
		return nil, err
	}
	pool, m := &Pool{settings: s, tls: config}, &member{Address: address}
	at := []endpoint{m.endpoint()}
	if s.Resolve > 0 && m.named() {
		if at, err = pool.endpoints(ctx, m); err != nil {
			return nil, err
		}
	}
	for _, at := range at {
		servers = append(servers, pool.newTarget(m, at))
	}
	return servers, nil
}

func get(ctx context.Context, server *Target, path, host string, timeout time.Duration, good func(status int) bool) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	url, client := prober(server, &Probe{Path: path})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "portico-probe")
	if host != "" { // it would redirect to HTTPS, or refuse the host
		request.Host = host
		request.Header.Set("X-Forwarded-Host", host)
		request.Header.Set("X-Forwarded-Proto", "https")
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if !good(response.StatusCode) {
		return fmt.Errorf("%s answers %d", url, response.StatusCode)
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, smokeBytes)); err != nil {
		return fmt.Errorf("%s breaks off: %w", url, err)
	}
	return nil
}
