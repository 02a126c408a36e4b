package config

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Tracing says which requests have spans, and where those go.
type Tracing struct {
	Endpoint string            `yaml:"endpoint"` // of a collector that takes OTLP over HTTP; "" for no spans
	Sample   *Share            `yaml:"sample"`   // of requests, where no trusted peer has decided
	Service  string            `yaml:"service"`
	Headers  map[string]string `yaml:"headers"` // of requests to the collector
}

// endpointVariable is what OpenTelemetry's own programs read.
const endpointVariable = "OTEL_EXPORTER_OTLP_ENDPOINT"

func (t *Tracing) fillIn(lookup func(string) (string, bool)) {
	if t.Endpoint == "" {
		t.Endpoint, _ = lookup(endpointVariable)
	}
	if t.Sample == nil {
		t.Sample = new(Share(0.1))
	}
	t.Service = cmp.Or(t.Service, "portico-proxy")
}

func (c *checker) tracing() {
	settings := c.config.Tracing
	if settings.Endpoint != "" {
		address, err := url.Parse(settings.Endpoint)
		if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" || address.RawQuery != "" || address.Fragment != "" {
			c.doc.Faultf("tracing.endpoint", "tracing.endpoint, or %s in the environment, is not an address such as http://collector:4318", endpointVariable)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(settings.Headers)) {
		if !httpguts.ValidHeaderFieldName(name) || strings.EqualFold(name, "Host") || !httpguts.ValidHeaderFieldValue(settings.Headers[name]) {
			c.doc.Faultf("tracing.headers."+name, "tracing.headers.%s is not a field of a request with its value", name)
		}
	}
}
