// Command load puts a running platform under load and prints what it bore: requests per second, latencies, failures.
//
//	go run ./bench/load --ca .portico/ca/root.pem --url https://localhost:8443/board/
//	go run ./bench/load --ca .portico/ca/root.pem --url https://localhost:8443/accounts/registration/ --register
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"sync"
	"time"

	"github.com/alecthomas/kong"
)

type options struct {
	URL         string        `name:"url" required:"" help:"What to ask for."`
	CA          string        `name:"ca" required:"" help:"PEM file of the certificate authority to trust." type:"existingfile"`
	Connections int           `short:"c" default:"64" help:"Connections, each with one request at a time."`
	Duration    time.Duration `short:"d" default:"10s" help:"How long."`
	Register    bool          `help:"POST a registration with a fresh address each time."`
}

func main() {
	var o options
	parsed := kong.Parse(&o, kong.Description("Puts a running platform under load."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	parsed.FatalIfErrorf(o.run(ctx))
}

// tally is what one connection saw.
type tally struct {
	latencies []time.Duration
	failed    int
	lastFault string
}

func (o options) run(ctx context.Context) error {
	pem, err := os.ReadFile(o.CA)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s: not a PEM certificate", o.CA)
	}
	ctx, cancel := context.WithTimeout(ctx, o.Duration)
	defer cancel()
	tallies := make([]tally, o.Connections)
	started := time.Now()
	var wg sync.WaitGroup
	for i := range tallies {
		wg.Go(func() {
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
			defer transport.CloseIdleConnections()
			o.loop(ctx, &http.Client{Transport: transport}, &tallies[i])
		})
	}
	wg.Wait()
	elapsed := time.Since(started)

	var all []time.Duration
	failed, fault := 0, ""
	for _, t := range tallies {
		all = append(all, t.latencies...)
		failed += t.failed
		fault = max(fault, t.lastFault)
	}
	if len(all) == 0 {
		return fmt.Errorf("no request succeeded: %s", fault)
	}
	slices.Sort(all)
	at := func(share float64) time.Duration {
		return all[int(share*float64(len(all)-1))].Round(10 * time.Microsecond)
	}
	fmt.Printf("%.0f/s over %s, %d requests, %d failed; p50 %s, p99 %s, max %s\n",
		float64(len(all))/elapsed.Seconds(), elapsed.Round(time.Millisecond), len(all), failed, at(.5), at(.99), at(1))
	if failed > 0 {
		return fmt.Errorf("%d requests failed, one of them: %s", failed, fault)
	}
	return nil
}

func (o options) loop(ctx context.Context, client *http.Client, t *tally) {
	for ctx.Err() == nil {
		request, err := o.request()
		if err != nil {
			t.failed, t.lastFault = t.failed+1, err.Error()
			return
		}
		started := time.Now()
		// The request in flight at the end is finished, not counted as a failure.
		response, err := client.Do(request)
		if err != nil {
			t.failed, t.lastFault = t.failed+1, err.Error()
			return
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode >= 300 {
			t.failed, t.lastFault = t.failed+1, fmt.Sprintf("%s %.200s", response.Status, body)
			continue
		}
		t.latencies = append(t.latencies, time.Since(started))
	}
}

func (o options) request() (*http.Request, error) {
	if !o.Register {
		return http.NewRequest(http.MethodGet, o.URL, nil)
	}
	body := fmt.Appendf(nil, `{"email":"%s@example.com","password1":"long enough 77","password2":"long enough 77"}`, rand.Text())
	request, err := http.NewRequest(http.MethodPost, o.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	return request, nil
}
