package upstream

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// timeoutsToFail is how many probes in a row must time out before a target counts as unhealthy; a refusal or an answer other
// than 2xx is believed at once.
const timeoutsToFail = 2

// probe asks target whether it is healthy until ctx ends, the first time at once.
func (p *Pool) probe(ctx context.Context, target *Target) {
	ticker := time.NewTicker(p.settings.Health.Interval)
	defer ticker.Stop()
	url, client := p.probeURL(target), prober(target, p.settings.Health.Port)
	timeouts := 0
	for {
		err := ask(ctx, client, url, p.settings.Health.Timeout)
		if ctx.Err() != nil {
			return
		}
		if timedOut, ok := err.(net.Error); ok && timedOut.Timeout() { //nolint:errorlint // ask returns it unwrapped
			timeouts++
		} else {
			timeouts = 0
		}
		p.note(target, err, timeouts)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (p *Pool) note(target *Target, err error, timeouts int) {
	switch {
	case err == nil && target.down.CompareAndSwap(true, false):
		p.log.Info("upstream target is healthy again", "upstream", p.settings.Name, "target", target.Host)
	case err != nil && (timeouts == 0 || timeouts >= timeoutsToFail) && target.down.CompareAndSwap(false, true):
		p.log.Warn("upstream target is unhealthy", "upstream", p.settings.Name, "target", target.Host, "error", err)
	}
}

func (p *Pool) probeURL(target *Target) string {
	host := target.Host
	if port := p.settings.Health.Port; port != 0 {
		name, _, _ := net.SplitHostPort(host)
		host = net.JoinHostPort(name, strconv.Itoa(port))
	}
	scheme := target.Scheme
	if scheme == "h2c" {
		scheme = "http"
	}
	return scheme + "://" + host + p.settings.Health.Path
}

// prober asks a target. Another port than its own is asked in HTTP/1.1 also when the target speaks h2c.
func prober(target *Target, port int) *http.Client {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	if target.Scheme == "h2c" && port == 0 {
		protocols = http.Protocols{}
		protocols.SetUnencryptedHTTP2(true)
	}
	return &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil, Protocols: &protocols},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

func ask(ctx context.Context, client *http.Client, url string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "portico-probe")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("%s answers %d", url, response.StatusCode)
	}
	return nil
}
