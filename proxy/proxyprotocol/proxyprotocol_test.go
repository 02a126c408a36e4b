package proxyprotocol_test

import (
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/portico-web/portico/proxy/proxyprotocol"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// v2 is a header of version 2; its length is that of rest.
func v2(commandAndFamily, rest string) string {
	return signature + commandAndFamily + string([]byte{byte(len(rest) >> 8), byte(len(rest))}) + rest
}

const (
	four = "\xcb\x00\x71\x07\xc6\x33\x64\x01\x8b\x3e\x01\xbb" // 203.0.113.7:35646 to 198.51.100.1:443
	six  = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07" + "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + "\x8b\x3e\x01\xbb"
)

func from(client string) proxyprotocol.Source {
	return proxyprotocol.Source{Client: netip.MustParseAddrPort(client)}
}

func TestAHeaderTellsTheClientAndNothingBehindItIsTaken(t *testing.T) {
	t.Parallel()
	unknown := proxyprotocol.Source{Client: proxyprotocol.Unknown}
	for name, c := range map[string]struct {
		header string
		want   proxyprotocol.Source
	}{
		"v1, IPv4":              {"PROXY TCP4 203.0.113.7 198.51.100.1 35646 443\r\n", from("203.0.113.7:35646")},
		"v1, shortest":          {"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n", from("1.1.1.1:1")},
		"v1, IPv6":              {"PROXY TCP6 2001:db8::7 2001:db8::1 35646 443\r\n", from("[2001:db8::7]:35646")},
		"v1, shortest IPv6":     {"PROXY TCP6 :: :: 1 1\r\n", from("[::]:1")},
		"v1, longest":           {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", from("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")},
		"v1, mapped":            {"PROXY TCP6 ::ffff:203.0.113.7 ::1 1 1\r\n", from("203.0.113.7:1")},
		"v1, unknown":           {"PROXY UNKNOWN\r\n", unknown},
		"v1, unknown with more": {"PROXY UNKNOWN ffff::1 \rx 1\r\n", unknown},
		"v2, IPv4":              {v2("\x21\x11", four), from("203.0.113.7:35646")},
		"v2, IPv6":              {v2("\x21\x21", six), from("[2001:db8::7]:35646")},
		"v2, TLVs":              {v2("\x21\x11", four+"\x03\x00\x04\xa9\xb8\x7e\x8f"+"\x04\x00\x00"+strings.Repeat("\x04\x00\x01x", 900)), from("203.0.113.7:35646")},
		"v2, local":             {v2("\x20\x00", ""), proxyprotocol.Source{Local: true}},
		"v2, local with more":   {v2("\x20\x11", four), proxyprotocol.Source{Local: true}},
		"v2, unspecified":       {v2("\x21\x00", "\x04\x00\x00"), unknown},
		"v2, UDP":               {v2("\x21\x12", four), unknown},
		"v2, a Unix socket":     {v2("\x21\x31", strings.Repeat("/", 216)), unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, reader := range map[string]func(io.Reader) io.Reader{"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader} {
				content := strings.NewReader(c.header + "GET /")
				got, err := proxyprotocol.Read(reader(content))
				if err != nil || got != c.want {
					t.Errorf("%s: %+v, %v", how, got, err)
				}
				if rest, _ := io.ReadAll(content); string(rest) != "GET /" {
					t.Errorf("%s: %q is left", how, rest)
				}
			}
		})
	}
}

func TestWhatIsNoHeaderIsRefused(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{
		"a request":             "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"TLS":                   "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03xxxxxxxx",
		"lower case":            "proxy TCP4 203.0.113.7 198.51.100.1 1 1\r\n",
		"a bare LF":             "PROXY TCP4 203.0.113.7 198.51.100.1 1 1\n" + strings.Repeat("x", 99),
		"two spaces":            "PROXY  TCP4 203.0.113.7 198.51.100.1 1 1\r\n",
		"a tab":                 "PROXY TCP4\t203.0.113.7 198.51.100.1 1 1\r\n" + strings.Repeat("x", 99),
		"a field too many":      "PROXY TCP4 203.0.113.7 198.51.100.1 1 1 1\r\n",
		"a field too few":       "PROXY TCP4 203.0.113.7 198.51.100.1 1\r\n\r\nxxxxxx",
		"a space at the end":    "PROXY TCP4 203.0.113.7 198.51.100.1 1 1 \r\n",
		"another protocol":      "PROXY UDP4 203.0.113.7 198.51.100.1 1 1\r\n",
		"unknown, glued":        "PROXY UNKNOWNX\r\n",
		"IPv6 for TCP4":         "PROXY TCP4 2001:db8::7 2001:db8::1 1 1\r\n",
		"IPv4 for TCP6":         "PROXY TCP6 203.0.113.7 198.51.100.1 1 1\r\n",
		"a zone":                "PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n",
		"leading zeros":         "PROXY TCP4 203.000.113.007 198.51.100.1 1 1\r\n",
		"a short address":       "PROXY TCP4 203.0.113 198.51.100.1 1 1\r\n",
		"a host":                "PROXY TCP4 localhost 198.51.100.1 1 1\r\n",
		"a port beyond":         "PROXY TCP4 203.0.113.7 198.51.100.1 65536 1\r\n",
		"a port with zeros":     "PROXY TCP4 203.0.113.7 198.51.100.1 01 1\r\n",
		"a negative port":       "PROXY TCP4 203.0.113.7 198.51.100.1 -1 1\r\n",
		"a port with a sign":    "PROXY TCP4 203.0.113.7 198.51.100.1 +1 1\r\n",
		"a line without end":    "PROXY TCP4 " + strings.Repeat("1", 200),
		"unknown without end":   "PROXY UNKNOWN " + strings.Repeat("\r", 200),
		"v2, another version":   v2("\x31\x11", four),
		"v2, another command":   v2("\x22\x11", four),
		"v2, another family":    v2("\x21\x41", four),
		"v2, another transport": v2("\x21\x13", four),
		"v2, too short":         v2("\x21\x11", four[:11]),
		"v2, IPv4 for IPv6":     v2("\x21\x21", four),
		"v2, too long":          v2("\x21\x11", four+strings.Repeat("\x04\x00\x00", 2000)),
		"v2, longest":           signature + "\x21\x11\xff\xff" + four,
		"a bent signature":      "\r\n\r\n\x00\r\nQUIT\r" + "\x21\x11\x00\x0c" + four,
	} {
		if got, err := proxyprotocol.Read(strings.NewReader(header)); !errors.Is(err, proxyprotocol.ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestAHeaderThatEndsEarlyIsNone(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"PROXY TCP4 203.0.113.7 198.51.100.1 35646 443\r\n", "PROXY UNKNOWN\r\n", v2("\x21\x11", four), v2("\x20\x00", "")} {
		for n := range len(header) {
			if got, err := proxyprotocol.Read(strings.NewReader(header[:n])); err == nil {
				t.Errorf("%q: %+v", header[:n], got)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"PROXY TCP4 203.0.113.7 198.51.100.1 35646 443\r\nGET", "PROXY TCP6 :: :: 1 1\r\n", "PROXY UNKNOWN x\r\n",
		v2("\x21\x11", four) + "GET", v2("\x21\x21", six), v2("\x20\x00", ""),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		reader := strings.NewReader(string(content))
		got, err := proxyprotocol.Read(reader)
		if err != nil {
			return
		}
		header := string(content[:len(content)-reader.Len()])
		if !got.Local && !got.Client.IsValid() || got.Client.Addr().Zone() != "" || got.Client.Addr().Is4In6() {
			t.Errorf("%q names %v", header, got.Client)
		}
		line := strings.HasPrefix(header, "PROXY ")
		if line && (strings.Index(header, "\r\n") != len(header)-2 || len(header) > 107) {
			t.Errorf("%q is taken for a line", header)
		}
		if !line && (len(header) < 16 || len(header) != 16+int(header[14])<<8+int(header[15])) {
			t.Errorf("%q is taken for a whole header", header)
		}
		again, err := proxyprotocol.Read(strings.NewReader(header))
		if err != nil || again != got {
			t.Errorf("read again: %+v, %v", again, err)
		}
	})
}
