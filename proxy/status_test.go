package proxy_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// until waits for what follows soon.
func (e *edge) until(what string, holds func() bool) {
	e.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			e.t.Fatalf("it does not come that %s:\n%s", what, e.metrics())
		}
	}
}

func TestTheStatusTellsHowRequestsGo(t *testing.T) {
	t.Parallel()
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/missing":
			w.WriteHeader(http.StatusNotFound)
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	yaml := "rate_limits: {few: {rate: 1/h}, other: {rate: 1/h}}\n" +
		site(app, "      - {path: /, upstream: app}\n      - {path: /few/, upstream: app, rate_limit: few}\n      - {path: /away, redirect: {to: /}}")
	e := start(t, yaml)
	client := e.client(true)
	for _, path := range []string{"/", "/", "/", "/missing", "/broken", "/few/", "/few/", "/few/"} {
		do(t, client, http.MethodGet, "https://localhost"+path, nil, "")
	}
	do(t, client, http.MethodGet, "http://nobody.example/", nil, "")
	e.until("all requests are counted", func() bool { return e.Status().Traffic.Requests == 9 })
	status := e.Status()
	if len(status.Routes) != 3 || len(status.RateLimits) != 2 {
		t.Fatalf("%+v", status)
	}
	first, few, away := status.Routes[0], status.Routes[1], status.Routes[2]
	if first.Site != "localhost" || first.Path != "/" || first.Action != "upstream app" || away.Action != "redirect" {
		t.Errorf("%+v", status.Routes)
	}
	if first.Requests != 5 || first.Recent != 5 || first.ClientErrors != 0.2 || first.ServerErrors != 0.2 || first.PerSecond <= 0 || first.Median <= 0 || first.P99 < first.Median {
		t.Errorf("%+v", first)
	}
	if few.Requests != 3 || away.Requests != 0 || away.P99 != 0 {
		t.Errorf("%+v, %+v", few, away)
	}
	if status.RateLimits[0].Name != "few" || status.RateLimits[0].Refused != 2 || status.RateLimits[1].Refused != 0 {
		t.Errorf("%+v", status.RateLimits)
	}
	if status.Configuration.File != e.config || status.Configuration.Since.Before(status.Started) || status.Draining || !status.HTTP3 || status.Connections.Open["https"] != 1 {
		t.Errorf("%+v", status)
	}
	before := status.Configuration.Since
	write(t, e.config, strings.Replace(yaml, "/away", "/gone", 1))
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status := e.Status(); status.Routes[0].Requests != 5 || status.Routes[2].Path != "/gone" || !status.Configuration.Since.After(before) {
		t.Errorf("after a reload: %+v", status)
	}
	if metrics := e.metrics(); strings.Contains(metrics, `route="/away"`) || !strings.Contains(metrics, `portico_edge_requests_total{class="2xx",route="/",site="localhost"} 3`) {
		t.Errorf("after a reload:\n%s", metrics)
	}
}

func TestConnectionsAreCounted(t *testing.T) {
	t.Parallel()
	e := start(t, strings.Replace(site(echo(t), `      - {path: /, upstream: app}`), "listen: {", "listen: {proxy_protocol: [127.0.0.1], ", 1))
	if _, err := e.relay(true, relayedV1, askedOnce+"\r\n"); err != nil {
		t.Fatal(err)
	}
	_, _ = e.relay(false, "", askedOnce+"\r\n")            // without a header
	_, _ = e.relay(false, relayedV1, "GET / HTTP/1.1\r\n") // not to TLS
	connection, err := e.relay(true, relayedV2+"GET / HTTP/1.1\r\n", "")
	if err == nil {
		t.Fatalf("%s", connection)
	}
	for _, want := range []string{
		`portico_edge_connections_total{listener="http"} 2`, `portico_edge_connections_total{listener="https"} 2`,
		`portico_edge_connections_ended_total{reason="proxy_protocol"} 1`, `portico_edge_connections_ended_total{reason="handshake"} 1`,
		`portico_edge_requests_by_version_total{version="HTTP/1.1"} `, `portico_edge_requests_in_flight 0`,
		`portico_edge_response_bytes_total{route="/",site="localhost"} `,
	} {
		e.until("the metrics have "+want, func() bool { return strings.Contains(e.metrics(), want) })
	}
}
