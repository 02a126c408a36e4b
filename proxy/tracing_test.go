package proxy_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/portico-web/portico/proxy/guard"
)

// collector takes spans by OTLP over HTTP.
type collector struct {
	mu       sync.Mutex
	requests []*http.Request
	services []string
	spans    []collected
}

type collected struct {
	TraceID, SpanID, ParentSpanID, Name string
	Kind                                int
	StartTimeUnixNano, EndTimeUnixNano  string
	Status                              struct{ Code int }
	Attributes                          []struct {
		Key   string
		Value struct{ StringValue, IntValue string }
	}
}

func (c collected) attribute(key string) string {
	for _, attribute := range c.Attributes {
		if attribute.Key == key {
			return attribute.Value.StringValue + attribute.Value.IntValue
		}
	}
	return ""
}

func collect(t *testing.T) (c *collector, endpoint string) {
	t.Helper()
	c = &collector{}
	return c, "http://" + serve(t, func(_ http.ResponseWriter, r *http.Request) {
		var content struct {
			ResourceSpans []struct {
				Resource   struct{ Attributes json.RawMessage }
				ScopeSpans []struct{ Spans []collected }
			}
		}
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &content); err != nil {
			t.Errorf("%v in %s", err, body)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.requests = append(c.requests, r)
		for _, resource := range content.ResourceSpans {
			c.services = append(c.services, string(resource.Resource.Attributes))
			for _, scope := range resource.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
	})
}

// traced stops the edge, which sends what is left, and returns the spans by what they are of.
func (c *collector) traced(e *edge) (own, calls []collected) {
	e.t.Helper()
	if err := e.stop(); err != nil {
		e.t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, span := range c.spans {
		if span.Kind == 2 {
			own = append(own, span)
		} else {
			calls = append(calls, span)
		}
	}
	return own, calls
}

func TestASampledRequestHasSpansThatTheUpstreamGoesOn(t *testing.T) {
	t.Parallel()
	c, endpoint := collect(t)
	e := start(t, "tracing: {endpoint: \""+endpoint+"\", sample: 1, service: edge, headers: {X-Key: secret}}\n"+site(echo(t), `      - {path: /api/, upstream: app}`))
	answer := do(t, e.client(true), http.MethodGet, "https://localhost/api/x?token=secret", http.Header{"User-Agent": {"test"}}, "")
	sent := answer.seen(t).Header.Get("Traceparent")
	e.get("https://localhost/nowhere")
	own, calls := c.traced(e)
	if len(own) != 2 || len(calls) != 1 {
		t.Fatalf("%+v, %+v", own, calls)
	}
	call := calls[0]
	if sent != "00-"+call.TraceID+"-"+call.SpanID+"-01" || call.ParentSpanID != own[0].SpanID || call.TraceID != own[0].TraceID || own[0].ParentSpanID != "" {
		t.Errorf("the upstream gets %s: %+v, %+v", sent, own[0], call)
	}
	for key, want := range map[string]string{
		"http.request.method": "GET", "url.path": "/api/x", "url.scheme": "https", "server.address": "localhost", "client.address": "127.0.0.1",
		"network.protocol.version": "2", "http.response.status_code": "200", "http.route": "/api/", "user_agent.original": "test",
		"portico.request_id": answer.Header.Get("X-Request-Id"), "error.type": "",
	} {
		if got := own[0].attribute(key); got != want {
			t.Errorf("%s is %q", key, got)
		}
	}
	if own[0].Name != "GET /api/" || call.Name != "GET" || call.Kind != 3 || call.attribute("server.address") != "127.0.0.1" || call.attribute("server.port") == "" ||
		call.attribute("portico.upstream") != "app" || own[0].StartTimeUnixNano > call.StartTimeUnixNano || call.EndTimeUnixNano > own[0].EndTimeUnixNano {
		t.Errorf("%+v, %+v", own[0], call)
	}
	if own[1].Name != "GET" || own[1].attribute("http.response.status_code") != "404" || own[1].Status.Code != 0 {
		t.Errorf("%+v", own[1])
	}
	if r := c.requests[0]; r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("X-Key") != "secret" || !strings.Contains(c.services[0], `"stringValue":"edge"`) {
		t.Errorf("%v %v %v", r.URL, r.Header, c.services)
	}
}

func TestWhoIsTrustedDecidesWhetherARequestHasSpans(t *testing.T) {
	t.Parallel()
	const trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for name, c := range map[string]struct {
		trusted bool
		share   string
		sent    string
		spans   int
	}{
		"a trusted peer wants to see it":    {true, "0", "00-" + trace + "-" + parent + "-01", 1},
		"a trusted peer does not":           {true, "1", "00-" + trace + "-" + parent + "-00", 0},
		"flags of a later version":          {true, "0", "cc-" + trace + "-" + parent + "-0b-more", 1},
		"flags without the bit":             {true, "1", "cc-" + trace + "-" + parent + "-0e-more", 0},
		"anybody wants to see it":           {false, "0", "00-" + trace + "-" + parent + "-01", 0},
		"anybody does not, chance does":     {false, "100%", "00-" + trace + "-" + parent + "-00", 1},
		"a trusted peer, no trace, none":    {true, "0", "", 0},
		"a trusted peer, no trace, all":     {true, "1", "", 1},
		"a trusted peer, malformed, chance": {true, "1", "00-" + trace + "-" + parent + "-0G", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			collector, endpoint := collect(t)
			yaml := "tracing: {endpoint: \"" + endpoint + "\", sample: " + c.share + "}\n" + site(echo(t), `      - {path: /, upstream: app}`)
			if c.trusted {
				yaml = "trusted_proxies: [127.0.0.1]\n" + yaml
			}
			e := start(t, yaml)
			header := http.Header{}
			if c.sent != "" {
				header.Set("Traceparent", c.sent)
			}
			sent := do(t, e.client(false), http.MethodGet, "https://localhost/", header, "").seen(t).Header.Get("Traceparent")
			own, _ := collector.traced(e)
			if len(own) != c.spans || !guard.TraceparentValid(sent) || strings.HasSuffix(sent, "-01") != (c.spans == 1) || !strings.HasPrefix(sent, "00-") {
				t.Fatalf("%+v, %s", own, sent)
			}
			continued := c.sent != "" && !strings.HasSuffix(c.sent, "G")
			if continued && sent[3:35] != trace || continued && c.spans == 1 && (own[0].ParentSpanID != parent || sent[36:52] == parent) ||
				continued && c.spans == 0 && sent[36:52] != parent {
				t.Errorf("%+v, %s", own, sent)
			}
		})
	}
}

func TestACollectorThatIsAwayHoldsNothingUp(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // it takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	failing := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	for name, address := range map[string]string{"silent": silent.Addr().String(), "closed": closed.Addr().String(), "failing": failing} {
		e := start(t, "tracing: {endpoint: \"http://"+address+"\", sample: 1}\n"+site(echo(t), `      - {path: /, upstream: app}`))
		client := e.client(true)
		for range 50 {
			if got := do(t, client, http.MethodGet, "https://localhost/", nil, ""); got.StatusCode != http.StatusOK {
				t.Fatalf("%s: %d", name, got.StatusCode)
			}
		}
		if name == "silent" {
			continue
		}
		e.until("lost spans are counted", func() bool {
			metrics := e.metrics()
			return strings.Contains(metrics, `portico_edge_spans_total{result="dropped"} `) && !strings.Contains(metrics, `portico_edge_spans_total{result="dropped"} 0`)
		})
		if log := e.log.String(); strings.Count(log, "spans are lost") != 1 {
			t.Errorf("%s: %s", name, log)
		}
	}
}

func TestAReloadSwitchesTracingOnAndOff(t *testing.T) {
	t.Parallel()
	c, endpoint := collect(t)
	plain := site(echo(t), `      - {path: /, upstream: app}`)
	e := start(t, plain)
	for _, traced := range []bool{false, true, false} {
		yaml := plain
		if traced {
			yaml = "tracing: {endpoint: \"" + endpoint + "/v1/traces\", sample: 1}\n" + plain
		}
		write(t, e.config, yaml)
		if err := e.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		do(t, e.client(false), http.MethodGet, "https://localhost/", nil, "")
	}
	if own, calls := c.traced(e); len(own) != 1 || len(calls) != 1 || c.requests[0].URL.Path != "/v1/traces" {
		t.Errorf("%+v, %+v", own, calls)
	}
}
