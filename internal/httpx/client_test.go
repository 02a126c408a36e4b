package httpx_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/portico-web/portico/internal/httpx"
)

func TestClientIsWhoTheTrustedProxySays(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	tests := map[string]struct {
		peer      string
		forwarded []string
		want      string
		asserted  bool
	}{
		"stranger's claim is ignored":          {"203.0.113.7:5000", []string{"127.0.0.1"}, "203.0.113.7", false},
		"edge asserts":                         {"127.0.0.1:5000", []string{"203.0.113.7"}, "203.0.113.7", true},
		"edge's word stands right of a forged": {"127.0.0.1:5000", []string{"1.1.1.1, 203.0.113.7"}, "203.0.113.7", true},
		"trusted hops are walked over":         {"127.0.0.1:5000", []string{"203.0.113.7, 10.1.2.3"}, "203.0.113.7", true},
		"client on this very machine":          {"127.0.0.1:5000", []string{"127.0.0.1"}, "127.0.0.1", true},
		"several fields are one list":          {"127.0.0.1:5000", []string{"1.1.1.1", "203.0.113.7"}, "203.0.113.7", true},
		"nothing asserted":                     {"127.0.0.1:5000", nil, "127.0.0.1", false},
		"garbage asserts nothing":              {"127.0.0.1:5000", []string{"unknown"}, "127.0.0.1", false},
		"garbage left of a trusted hop":        {"127.0.0.1:5000", []string{"evil, 10.1.2.3"}, "10.1.2.3", true},
		"IPv4 in IPv6 is IPv4":                 {"[::ffff:127.0.0.1]:5000", []string{"::ffff:203.0.113.7"}, "203.0.113.7", true},
		"IPv6":                                 {"127.0.0.1:5000", []string{"2001:db8::1"}, "2001:db8::1", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got httpx.Client
			handler := httpx.WithClient(trusted, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got = httpx.ClientOf(r.Context())
			}))
			request := httptest.NewRequest(http.MethodGet, "/", nil)
			request.RemoteAddr = test.peer
			for _, value := range test.forwarded {
				request.Header.Add("X-Forwarded-For", value)
			}
			handler.ServeHTTP(httptest.NewRecorder(), request)
			if got.Addr.String() != test.want || got.Asserted != test.asserted {
				t.Errorf("client %s, asserted %t; want %s, %t", got.Addr, got.Asserted, test.want, test.asserted)
			}
		})
	}
}

func TestRequestIDOfAnotherPartyIsTakenOnlyWhenHarmless(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"abc-123_X.y": true, "": false, "a b": false, "a\nb": false, "<script>": false,
		"0123456789012345678901234567890123456789012345678901234567890123":  true,
		"01234567890123456789012345678901234567890123456789012345678901234": false,
	} {
		if got := httpx.ValidRequestID(id); got != want {
			t.Errorf("ValidRequestID(%q) = %t", id, got)
		}
	}
}
