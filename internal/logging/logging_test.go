package logging_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/internal/telemetry"
)

func TestLineCarriesRequestAndTraceAndNoSecrets(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := logging.New(&out, "info", "json")
	if err != nil {
		t.Fatal(err)
	}
	ctx := logging.WithRequestID(t.Context(), "req-1")
	ctx = telemetry.WithTraceparent(ctx, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	log.With("part", "test").InfoContext(ctx, "hello", "password", "s3cret", "Authorization", "Bearer x")
	log.DebugContext(ctx, "not shown")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	for key, want := range map[string]string{
		"msg": "hello", "part": "test", "request_id": "req-1", "trace_id": "0af7651916cd43dd8448eb211c80319c",
		"password": "[redacted]", "Authorization": "[redacted]",
	} {
		if line[key] != want {
			t.Errorf("%s is %v, want %s", key, line[key], want)
		}
	}
}

func TestUnknownLevelOrFormatIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := logging.New(&bytes.Buffer{}, "loud", "json"); err == nil {
		t.Error("the level loud was taken")
	}
	if _, err := logging.New(&bytes.Buffer{}, "info", "xml"); err == nil {
		t.Error("the format xml was taken")
	}
}
