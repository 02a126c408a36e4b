package upstream

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// timeoutsToFail is how many probes in a row must fail, the last of them for its time, before a target counts as unhealthy; a
// refusal or an answer other than 2xx is believed at once, unless settings say otherwise.
const timeoutsToFail = 2

// probe asks target whether it is healthy until ctx ends, the first time at once.
func (p *Pool) probe(ctx context.Context, target *Target) {
	once := sync.OnceFunc(func() { close(target.probed) })
	defer once()
	question := p.settings.Health
	ticker := time.NewTicker(question.Interval)
	defer ticker.Stop()
	url, client := prober(target, question)
	good, bad := 0, 0 // in a row
	for {
		err := ask(ctx, client, url, question.Timeout)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			good, bad = good+1, 0
		} else {
			good, bad = 0, bad+1
		}
		enough := max(question.UnhealthyAfter, 1)
		if timedOut, ok := err.(net.Error); ok && timedOut.Timeout() { //nolint:errorlint // ask returns it unwrapped
			enough = max(enough, timeoutsToFail)
		}
		switch {
		case good >= max(question.HealthyAfter, 1) && target.down.Load():
			p.recovered(target)
		case bad >= enough && target.down.CompareAndSwap(false, true):
			p.log.Warn("upstream target is unhealthy", "upstream", p.settings.Name, "target", target.String(), "endpoint", target.Endpoint(), "error", err)
		}
		once()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// recovered lets a target serve again, or for the first time.
func (p *Pool) recovered(target *Target) {
	target.since.Store(time.Now().UnixNano())
	target.down.Store(false)
	p.log.Info("upstream target is healthy", "upstream", p.settings.Name, "target", target.String(), "endpoint", target.Endpoint())
	p.look()
}

// prober asks a target with this question. Another port than its own is asked in HTTP/1.1 also when the target speaks h2c.
func prober(target *Target, question *Probe) (url string, client *http.Client) {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	scheme, host := target.Scheme, "localhost"
	if target.Socket == "" {
		host = endpoint{"tcp", target.Host}.withPort(question.Port).address
	}
	if scheme == "h2c" {
		scheme = "http"
		if question.Port == 0 {
			protocols = http.Protocols{}
			protocols.SetUnencryptedHTTP2(true)
		}
	}
	at, dialer := target.at.withPort(question.Port), net.Dialer{}
	return scheme + "://" + host + question.Path, &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true, Proxy: nil, Protocols: &protocols, TLSClientConfig: target.upgradeConfig.Clone(),
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, at.network, at.address)
			},
		},
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
