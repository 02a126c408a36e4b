package guard_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/portico-web/portico/proxy/guard"
	"github.com/portico-web/portico/proxy/message"
)

func TestOnlyATrustedPeerSaysWhoTheClientIs(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	for name, c := range map[string]struct {
		peer           string
		chain          []string
		client, onward string
	}{
		"no chain":                 {"203.0.113.9", nil, "203.0.113.9", "203.0.113.9"},
		"untrusted peer":           {"203.0.113.9", []string{"127.0.0.1"}, "203.0.113.9", "203.0.113.9"},
		"trusted peer, no chain":   {"10.0.0.1", nil, "10.0.0.1", "10.0.0.1"},
		"trusted peer":             {"10.0.0.1", []string{"203.0.113.9"}, "203.0.113.9", "203.0.113.9, 10.0.0.1"},
		"forged left end":          {"10.0.0.1", []string{"127.0.0.1, 203.0.113.9"}, "203.0.113.9", "127.0.0.1, 203.0.113.9, 10.0.0.1"},
		"two trusted hops":         {"10.0.0.1", []string{"203.0.113.9, 10.1.1.1"}, "203.0.113.9", "203.0.113.9, 10.1.1.1, 10.0.0.1"},
		"two fields":               {"10.0.0.1", []string{"203.0.113.9", "10.1.1.1"}, "203.0.113.9", "203.0.113.9, 10.1.1.1, 10.0.0.1"},
		"trusted hops only":        {"10.0.0.1", []string{"10.2.2.2, 10.1.1.1"}, "10.2.2.2", "10.2.2.2, 10.1.1.1, 10.0.0.1"},
		"with ports":               {"10.0.0.1", []string{"203.0.113.9:5000"}, "203.0.113.9", "203.0.113.9:5000, 10.0.0.1"},
		"IPv6 in brackets":         {"10.0.0.1", []string{"[2001:db9::1]:5000"}, "2001:db9::1", "[2001:db9::1]:5000, 10.0.0.1"},
		"unreadable hop":           {"10.0.0.1", []string{"203.0.113.9, unknown"}, "10.0.0.1", "10.0.0.1, 10.0.0.1"},
		"unreadable behind a good": {"10.0.0.1", []string{"evil, 10.1.1.1"}, "10.1.1.1", "10.1.1.1, 10.0.0.1"},
		"empty field":              {"10.0.0.1", []string{""}, "10.0.0.1", "10.0.0.1"},
		"mapped IPv4":              {"10.0.0.1", []string{"::ffff:203.0.113.9"}, "203.0.113.9", "::ffff:203.0.113.9, 10.0.0.1"},
	} {
		client, onward := guard.Client(netip.MustParseAddr(c.peer), c.chain, trusted)
		if client.String() != c.client || onward != c.onward {
			t.Errorf("%s: client %s, chain %q; want %s, %q", name, client, onward, c.client, c.onward)
		}
	}
}

func TestFieldsThatAssertIdentityAreDroppedInEverySpelling(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"X-Forwarded-For", "x-forwarded-for", "X-Forwarded-Anything", "X-Forwarded", "X-Forwarded-Prefix", "X-Real-Ip", "X-REAL-IP", "Forwarded",
		"True-Client-Ip", "Cf-Connecting-Ip", "Client-Ip", "X-Remote-Addr", "Wl-Proxy-Client-Ip", "X-Original-Url", "X-Envoy-External-Address",
		"Proxy", "Proxy-Authorization",
		"X.Real.IP", "x|real|ip", "X-Real~IP", "X.Forwarded-Proto", "X+Forwarded+For", "X|Forwarded|Host", "X.Forwarded.Anything", "client.ip",
		"Content.Length", "Transfer!Encoding", "X-Request.ID", "Proxy.Authorization", "X.Real_IP",
		"X_Forwarded_For", "X-Forwarded_For", "x_real-ip", "X_Forwarded_User", "CF_Connecting_IP", "Proxy_Authorization", "Content_Length", "X_Request_ID",
	} {
		for _, underscores := range []bool{false, true} {
			if !guard.FieldDropped(field(name), underscores) {
				t.Errorf("%s passes where underscores may: %v", name, underscores)
			}
		}
	}
	for _, name := range []string{
		"Accept", "Cookie", "Content-Type", "X-Requested-With", "Transfer-Encoding", "X-Request-ID", "Priority", "X-Csrftoken", "From", "X", "",
		"X-Real-IPs", "XReal-IP", "X-Forward", "My.Field", "X-Original-Name", "X-HTTP-Method-Override", strings.Repeat("X-Long-", 100),
	} {
		if guard.FieldDropped(field(name), false) {
			t.Errorf("%s is dropped", name)
		}
	}
	for _, name := range []string{"my_field", "X_Auth_User", "_", "A.B_C"} {
		if !guard.FieldDropped(field(name), false) || guard.FieldDropped(field(name), true) {
			t.Errorf("%s passes where underscores may not, or does not where they may", name)
		}
	}
}

func field(name string) *message.Field {
	return &message.Field{ID: message.Known(name), Name: []byte(name)}
}

func TestTraceparentFollowsW3C(t *testing.T) {
	t.Parallel()
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for value, valid := range map[string]bool{
		good: true, "": false, good[:54]: false, good + "-x": false,
		"cc" + good[2:] + "-future": true,
		"cc" + good[2:] + "x":       false,
		"ff" + good[2:]:             false,
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01": false,
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01": false,
		"00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01": false,
	} {
		if guard.TraceparentValid(value) != valid {
			t.Errorf("%q", value)
		}
	}
	first, second := string(guard.AppendTraceparent(nil)), string(guard.AppendTraceparent(nil))
	if !guard.TraceparentValid(first) || first == second {
		t.Errorf("%s, %s", first, second)
	}
}

func TestTheLastWordOnTheSchemeIsThePeers(t *testing.T) {
	t.Parallel()
	for want, given := range map[string][][]string{
		"https": {{"https"}, {"HTTPS"}, {"http, https"}, {"http", "https"}, {" wss "}},
		"http":  {{"http"}, {"https,http"}, {"https", "ws"}},
		"":      {nil, {""}, {"https,"}, {"https", ""}, {"on"}, {"https http"}},
	} {
		for _, values := range given {
			if got := guard.Scheme(values); got != want {
				t.Errorf("%q is %q", values, got)
			}
		}
	}
}

func TestTheLastWordOnTheHostIsThePeers(t *testing.T) {
	t.Parallel()
	for want, given := range map[string][][]string{
		"own.example": {{"own.example"}, {"client.example, own.example"}, {"client.example", " own.example "}, {"a, b", "c,own.example"}},
		"":            {nil, {""}, {"client.example,"}, {"client.example", ""}},
	} {
		for _, values := range given {
			if got := guard.Host(values); got != want {
				t.Errorf("%q is %q", values, got)
			}
		}
	}
}
