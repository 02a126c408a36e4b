// Package tracing sends spans to an OpenTelemetry collector, by OTLP over HTTP in its JSON form
// (https://opentelemetry.io/docs/specs/otlp/). Whoever makes spans never waits for the collector.
package tracing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	queued    = 4096             // spans that may wait; more are dropped
	batched   = 512              // spans of one request to the collector
	gathering = time.Second      // that a batch waits for more
	patience  = 10 * time.Second // for the collector's answer
	farewell  = 2 * time.Second  // for what is left at the end
	warnEvery = time.Minute
)

// Settings says where spans go, and whose they are.
type Settings struct {
	Endpoint string // an http or https URL; /v1/traces is added unless it is there
	Service  string // service.name
	Version  string // service.version
	Headers  map[string]string
}

// Equal tells whether two settings are the same.
func (s Settings) Equal(other Settings) bool {
	return s.Endpoint == other.Endpoint && s.Service == other.Service && s.Version == other.Version && maps.Equal(s.Headers, other.Headers)
}

// Exporter gathers spans and sends them. It is safe for concurrent use.
type Exporter struct {
	settings Settings
	log      *slog.Logger
	client   *http.Client
	spans    chan Span
	dropped  atomic.Uint64
	sent     atomic.Uint64

	stop    context.CancelFunc
	stopped sync.WaitGroup
}

// Start makes an exporter. Whoever has it must Close it.
func Start(settings Settings, log *slog.Logger) *Exporter {
	ctx, stop := context.WithCancel(context.Background())
	e := &Exporter{
		settings: settings, log: log, spans: make(chan Span, queued), stop: stop,
		client: &http.Client{
			Transport:     &http.Transport{MaxIdleConns: 2, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // headers may hold a secret
		},
	}
	e.stopped.Go(func() { e.run(ctx) })
	return e
}

// Settings are those that it was started with.
func (e *Exporter) Settings() Settings { return e.settings }

// Add takes a span, or drops it when too many wait.
func (e *Exporter) Add(span Span) {
	select {
	case e.spans <- span:
	default:
		e.dropped.Add(1)
	}
}

// Dropped is how many spans were lost, and Sent how many the collector took.
func (e *Exporter) Dropped() uint64 { return e.dropped.Load() }

// Sent is how many spans the collector took.
func (e *Exporter) Sent() uint64 { return e.sent.Load() }

// Close sends what is left, for two seconds at most, and stops. Spans that are added afterwards go nowhere.
func (e *Exporter) Close() {
	e.stop()
	e.stopped.Wait()
	e.client.CloseIdleConnections()
}

func (e *Exporter) run(ctx context.Context) {
	var warned time.Time
	batch := make([]Span, 0, batched)
	send := func(ctx context.Context, within time.Duration) {
		if len(batch) == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		if err := e.send(ctx, batch); err != nil {
			if now := time.Now(); now.Sub(warned) > warnEvery {
				warned = now
				e.log.Warn("spans are lost: see whether the collector of tracing.endpoint runs and takes OTLP over HTTP", "err", err)
			}
			e.dropped.Add(uint64(len(batch)))
		} else {
			e.sent.Add(uint64(len(batch)))
		}
		clear(batch)
		batch = batch[:0]
	}
	full := time.NewTimer(gathering)
	defer full.Stop()
	for {
		select {
		case span := <-e.spans:
			if batch = append(batch, span); len(batch) == 1 {
				full.Reset(gathering)
			}
			if len(batch) == batched {
				send(ctx, patience)
			}
		case <-full.C:
			send(ctx, patience)
		case <-ctx.Done():
			deadline := time.Now().Add(farewell)
			for {
				select {
				case span := <-e.spans:
					batch = append(batch, span)
					if len(batch) < batched {
						continue
					}
				default:
				}
				if len(batch) == 0 {
					return
				}
				send(context.WithoutCancel(ctx), time.Until(deadline))
			}
		}
	}
}

// send sends spans in one request.
func (e *Exporter) send(ctx context.Context, spans []Span) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address(e.settings.Endpoint), bytes.NewReader(encode(&e.settings, spans)))
	if err != nil {
		return err
	}
	for name, value := range e.settings.Headers {
		request.Header.Set(name, value)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := e.client.Do(request)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err // the address may hold a secret
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("the collector answered %s", response.Status)
	}
	return nil
}

// address is where traces go at an endpoint.
func address(endpoint string) string {
	if strings.HasSuffix(endpoint, "/v1/traces") {
		return endpoint
	}
	return strings.TrimSuffix(endpoint, "/") + "/v1/traces"
}
