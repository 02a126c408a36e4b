package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// rawRequest is a request of HTTP/2 or HTTP/3 whose fields are sent as they are, right or wrong.
type rawRequest struct {
	name    string
	fields  []string // name, value, name, value
	body    string
	trailer []string
	wants   string   // "200", "refused" for a status of 400 and above or a reset stream, or "200|refused"
	sees    []string // what the upstream saw, and what not
	hides   []string
	lax     bool // the codec of HTTP/3 reads it leniently; what goes to the upstream must be one clear request all the same
}

// ask is the fields of a request for /000/, some of them replaced; "-" takes one away. Other names are added.
func ask(changes ...string) []string {
	fields := []string{":method", "GET", ":scheme", "https", ":authority", "localhost", ":path", "/000/"}
change:
	for i := 0; i < len(changes); i += 2 {
		for at := 0; at < len(fields); at += 2 {
			if fields[at] == changes[i] && strings.HasPrefix(changes[i], ":") {
				if fields[at+1] = changes[i+1]; changes[i+1] == "-" {
					fields = append(fields[:at:at], fields[at+2:]...)
				}
				continue change
			}
		}
		fields = append(fields, changes[i], changes[i+1])
	}
	return fields
}

// sendHTTP2 sends it over a connection of its own, and says what comes back: a status, or "reset".
func (r rawRequest) sendHTTP2(e *edge) (string, error) {
	connection, err := e.dialH2()
	if err != nil {
		return "", err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(connection, http2.ClientPreface); err != nil {
		return "", err
	}
	framer := http2.NewFramer(connection, connection)
	framer.AllowIllegalWrites = true
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	send := func(fields []string, end bool) {
		block.Reset()
		for i := 0; i < len(fields); i += 2 {
			_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		part := block.Next(16 << 10)
		_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: part, EndStream: end, EndHeaders: block.Len() == 0})
		for block.Len() > 0 {
			part = block.Next(16 << 10)
			_ = framer.WriteContinuation(1, block.Len() == 0, part)
		}
	}
	_ = framer.WriteSettings()
	send(r.fields, r.body == "" && r.trailer == nil) // what cannot be written any more was refused
	if r.body != "" {
		_ = framer.WriteData(1, r.trailer == nil, []byte(r.body))
	}
	if r.trailer != nil {
		send(r.trailer, true)
	}
	status := "reset"
	for {
		frame, err := framer.ReadFrame()
		if _, broken := errors.AsType[http2.StreamError](err); err != nil && !broken {
			return status, nil
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = framer.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			if got := frame.PseudoValue("status"); got != "" && got[0] != '1' {
				status = got
			}
			if frame.StreamEnded() {
				return status, nil
			}
		case *http2.DataFrame:
			if frame.StreamEnded() {
				return status, nil
			}
		case *http2.RSTStreamFrame:
			if frame.ErrCode != http2.ErrCodeNo && status != "reset" {
				status += " reset"
			}
			return status, nil
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				return "reset", nil
			}
		}
	}
}

// sendHTTP3 does the same by HTTP/3. Fields are literals, so that no table is needed (RFC 9204 section 4.5.6).
func (r rawRequest) sendHTTP3(ctx context.Context, e *edge) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	connection, err := quic.DialAddr(ctx, e.Addrs().HTTPS.String(), &tls.Config{RootCAs: e.roots(), ServerName: "localhost", NextProtos: []string{"h3"}}, &quic.Config{})
	if err != nil {
		return "", err
	}
	defer func() { _ = connection.CloseWithError(0x100, "") }()
	control, err := connection.OpenUniStreamSync(ctx)
	if err != nil {
		return "", err
	}
	_, _ = control.Write([]byte{0x00, 0x04, 0x00}) // a control stream, and settings of nothing
	stream, err := connection.OpenStreamSync(ctx)
	if err != nil {
		return "", err
	}
	_ = stream.SetDeadline(time.Now().Add(patience))
	message := frameHTTP3(0x01, literals(r.fields))
	if r.body != "" {
		message = append(message, frameHTTP3(0x00, []byte(r.body))...)
	}
	if r.trailer != nil {
		message = append(message, frameHTTP3(0x01, literals(r.trailer))...)
	}
	_, _ = stream.Write(message) // what cannot be written any more was refused
	_ = stream.Close()
	content, err := io.ReadAll(stream)
	status := "reset"
	for reader := bytes.NewReader(content); reader.Len() > 0; {
		kind, _ := quicvarint.Read(reader)
		length, _ := quicvarint.Read(reader)
		payload := make([]byte, length)
		if n, _ := io.ReadFull(reader, payload); n < len(payload) {
			break
		}
		if kind != 0x01 {
			continue
		}
		if got := statusHTTP3(payload); got != "" && got[0] != '1' {
			status = got
		}
	}
	if err != nil && status != "reset" {
		status += " reset"
	}
	return status, nil
}

func frameHTTP3(kind uint64, payload []byte) []byte {
	frame := quicvarint.Append(nil, kind)
	return append(quicvarint.Append(frame, uint64(len(payload))), payload...)
}

// literals is a field section of nothing but literals.
func literals(fields []string) []byte {
	section := []byte{0, 0}
	for i := 0; i < len(fields); i += 2 {
		section = append(prefixed(section, 0x20, 3, len(fields[i])), fields[i]...)
		section = append(prefixed(section, 0, 7, len(fields[i+1])), fields[i+1]...)
	}
	return section
}

// prefixed appends an integer whose first bits share their byte with others (RFC 7541 section 5.1).
func prefixed(to []byte, first byte, bits, n int) []byte {
	most := 1<<bits - 1
	if n < most {
		return append(to, first|byte(n))
	}
	to = append(to, first|byte(most))
	for n -= most; n >= 128; n >>= 7 {
		to = append(to, byte(n)|0x80)
	}
	return append(to, byte(n))
}

// statusHTTP3 finds the status in the first line of a field section: an entry of the static table, or a literal value for the
// name of one (RFC 9204 appendix A).
func statusHTTP3(section []byte) string {
	if len(section) < 3 {
		return ""
	}
	switch line := section[2:]; {
	case line[0]&0xc0 == 0xc0 && line[0] != 0xff:
		return map[byte]string{24: "103", 25: "200", 26: "304", 27: "404", 28: "503"}[line[0]&0x3f]
	case line[0] == 0xff:
		return map[byte]string{0: "100", 1: "204", 2: "206", 3: "302", 4: "400", 5: "403", 6: "421", 7: "425", 8: "500"}[line[1]]
	case line[0]&0xd0 == 0x50: // a name of the static table
		at := 1
		if line[0]&0x0f == 0x0f {
			at = 2
		}
		value := line[at+1 : at+1+int(line[at]&0x7f)]
		if line[at]&0x80 == 0 {
			return string(value)
		}
		status, _ := hpack.HuffmanDecodeToString(value)
		return status
	}
	return "?"
}

func rawRequests() (cases []rawRequest) {
	with := func(wants, name string, fields []string) {
		cases = append(cases, rawRequest{name: name, fields: fields, wants: wants})
	}
	with("200", "a good one", ask())
	with("200", "lower case is another method", ask(":method", "get"))
	for _, method := range []string{"", " ", "G T", " GET", "GET ", "G\tT", "G\x00T", "G\rT", "G\nT", "G\x7fT", "G(T", "G:T", "G\xc3\xa9T", "GET /000/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\nGET", "CONNECT", "TRACE", "trace"} {
		with("refused", fmt.Sprintf("method %q", method), ask(":method", method))
	}
	for _, path := range []string{"", " ", "000/", "?/000/", "http://localhost/000/", "localhost", "*", "/000/ x", "/000/ HTTP/1.1\r\nX: y", "/000/\r", "/000/\n", "/000/\x00", "/000/\x01", "/000/\x7f", "/000/\t", "/000/#x", "/000/%00", "/000/%zz"} {
		with("refused", fmt.Sprintf("path %q", path), ask(":path", path))
	}
	for _, authority := range []string{"", " ", "user@localhost", "user:secret@localhost", "@localhost", "localhost:x", "localhost:70000", "localhost:+1", "localhost:1:1", "local host", "localhost/", "localhost/x", "localhost?x", "localhost#x", "localhost\\x", "localhost,x", "localhost\x00", "localhost\r\nX: y", "localhost%00", "[::1", "::1", "[zz]", "http://localhost"} {
		with("refused", fmt.Sprintf("authority %q", authority), ask(":authority", authority))
	}
	for _, name := range []string{"", " ", "X", "x-Y", "x y", " x", "x ", "x:", "x:y", ":", ":x", "x\x00", "x\r", "x\n", "x\r\ny", "x\x7f", "x\xff", "x(", "x,y", "x/y", "x\"y"} {
		with("refused", fmt.Sprintf("name %q", name), ask(name, "v"))
	}
	for _, value := range []string{"a\x00b", "a\rb", "a\nb", "a\r\nx: y", "\n", "a\x01b", "a\x7fb", "\r\n\r\nGET /000/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"} {
		with("refused", fmt.Sprintf("value %q", value), ask("x", value))
	}
	for _, field := range []string{"connection: close", "connection: keep-alive", "keep-alive: timeout=5", "proxy-connection: close", "transfer-encoding: chunked", "transfer-encoding: identity", "upgrade: websocket", "upgrade: h2c", "te: gzip", "te: trailers, gzip", "expect: 200-ok"} {
		name, value, _ := strings.Cut(field, ": ")
		with("refused", field, ask(name, value))
	}
	for _, length := range []string{"4", "6", "0", "-5", "+5", "0x5", "5 ", " 5", "5x", "5,5", "5, 5", "5;", "", "99999999999999999999", "9223372036854775808"} {
		cases = append(cases, rawRequest{name: fmt.Sprintf("length %q for five bytes", length), fields: ask(":method", "POST", "content-length", length), body: "hello", wants: "refused", lax: oneOf(length, "4|0|")})
	}
	value := strings.Repeat("x", 7000)
	many, large := ask(), ask()
	for i := range 5000 {
		many = append(many, fmt.Sprint("x", i), "y")
	}
	for range 20 {
		large = append(large, "x", value)
	}
	with("refused", "many fields", many)
	with("refused", "large fields", large)
	with("refused", "a large path", ask(":path", "/000/"+strings.Repeat("x", 40<<10)))
	with("refused", "no method", ask(":method", "-"))
	with("refused", "no path", ask(":path", "-"))
	with("refused", "no authority", ask(":authority", "-"))
	with("refused", "an authority twice", append(ask(), ":authority", "localhost"))
	with("refused", "a path twice", append(ask(), ":path", "/000/"))
	with("refused", "a method twice", append(ask(), ":method", "GET"))
	with("refused", "a status", append([]string{":status", "200"}, ask()...))
	with("refused", "an unknown pseudo field", append([]string{":x", "y"}, ask()...))
	with("refused", "a pseudo field behind others", append([]string{"x", "y"}, ask()...))
	with("refused", "a tunnel to elsewhere", []string{":method", "CONNECT", ":authority", "localhost:443"})
	with("refused", "a tunnel of an unknown protocol", ask(":method", "CONNECT", ":protocol", "x"))
	with("refused", "a protocol without a tunnel", ask(":protocol", "websocket"))
	with("refused", "a length without content", ask(":method", "POST", "content-length", "5"))
	return append(cases,
		rawRequest{name: "content", fields: ask(":method", "POST"), body: smuggled, wants: "200", sees: []string{"Transfer-Encoding: chunked\r\n"}},
		rawRequest{name: "content of a length", fields: ask(":method", "POST", "content-length", fmt.Sprint(len(smuggled))), body: smuggled, wants: "200", sees: []string{fmt.Sprintf("Content-Length: %d\r\n", len(smuggled))}},
		rawRequest{name: "GET with content", fields: ask(), body: smuggled, wants: "200"},
		rawRequest{name: "content of no length", fields: ask(":method", "POST", "content-length", "0"), wants: "200"},
		rawRequest{name: "two lengths", fields: ask(":method", "POST", "content-length", "5", "content-length", "6"), body: "hello", wants: "refused"},
		rawRequest{name: "twice the same length", fields: ask(":method", "POST", "content-length", "5", "content-length", "5"), body: "hello", wants: "refused", lax: true},
		rawRequest{name: "no scheme", fields: ask(":scheme", "-"), wants: "refused", lax: true},
		rawRequest{name: "trailers", fields: ask(":method", "POST"), body: "hello", trailer: []string{"x-sum", "1"}, wants: "200"},
		rawRequest{name: "trailers alone", fields: ask(":method", "POST"), trailer: []string{"x-sum", "1"}, wants: "200"},
		rawRequest{name: "a pseudo field in trailers", fields: ask(":method", "POST"), body: "hello", trailer: []string{":path", "/000/smuggled"}, wants: "200|refused", hides: []string{"smuggled"}},
		rawRequest{name: "trailers in capitals", fields: ask(":method", "POST"), body: "hello", trailer: []string{"X-Sum", "1"}, wants: "200|refused"},
		rawRequest{name: "trailers that frame", fields: ask(":method", "POST"), body: "hello", trailer: []string{"content-length", "0", "transfer-encoding", "chunked", "host", "evil.example"}, wants: "200|refused", hides: []string{"evil"}},
		rawRequest{name: "trailers with line ends", fields: ask(":method", "POST"), body: "hello", trailer: []string{"x", "y\r\n\r\n" + smuggled}, wants: "200|refused", hides: []string{"smuggled"}},
		rawRequest{name: "trailers that only the edge may write", fields: ask(":method", "POST"), body: "hello", trailer: []string{"x-forwarded-for", "forged", "x-real-ip", "forged", "forwarded", "for=forged", "x_real_ip", "forged"}, wants: "200|refused", hides: []string{"forged"}},
		rawRequest{name: "a host instead of an authority", fields: ask(":authority", "-", "host", "localhost"), wants: "200|refused"},
		rawRequest{name: "the same host", fields: ask("host", "localhost"), wants: "200|refused"},
		rawRequest{name: "another host", fields: ask("host", "evil.example"), wants: "200|refused", hides: []string{"evil"}},
		rawRequest{name: "two hosts", fields: ask("host", "localhost", "host", "evil.example"), wants: "200|refused", hides: []string{"evil"}},
		rawRequest{name: "underscores", fields: ask("x_real_ip", "forged", "content_length", "5", "x_", "forged"), wants: "200", hides: []string{"forged", "content_length"}},
		rawRequest{name: "fields that only the edge may write", fields: ask("x-forwarded-for", "forged", "x-forwarded-proto", "forged", "x-forwarded-x", "forged", "forwarded", "for=forged", "x-real-ip", "forged", "proxy", "forged", "x-request-id", "forged"), wants: "200", sees: []string{"X-Forwarded-For: 127.0.0.1\r\n", "X-Forwarded-Host: localhost\r\n"}, hides: []string{"forged"}},
		rawRequest{name: "trailers are taken", fields: ask("te", "trailers"), wants: "200"},
		rawRequest{name: "crumbs", fields: ask("cookie", "a=b", "cookie", "c=d"), wants: "200", sees: []string{"Cookie: a=b; c=d\r\n"}},
		rawRequest{name: "dots in the path", fields: ask(":path", "/x/%2e%2e/000/a/../b"), wants: "200", sees: []string{"/b HTTP/1.1\r\n"}, hides: []string{".."}},
		rawRequest{name: "bytes above ASCII in a value", fields: ask("x", "\xc3\xa9\xff"), wants: "200", sees: []string{": \xc3\xa9\xff\r\n"}},
	)
}

func TestFieldsOfHTTP2AndHTTP3AreTakenOnlyInOneForm(t *testing.T) {
	t.Parallel()
	cases := rawRequests()
	for version, send := range map[string]func(context.Context, *edge, rawRequest) (string, error){
		"2": func(_ context.Context, e *edge, r rawRequest) (string, error) { return r.sendHTTP2(e) },
		"3": func(ctx context.Context, e *edge, r rawRequest) (string, error) { return r.sendHTTP3(ctx, e) },
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			upstreams, targets := make([]*recording, len(cases)), make([]string, len(cases))
			for i := range cases {
				upstreams[i] = record(t)
				targets[i] = upstreams[i].address
			}
			e := lanes(t, false, "", "", targets...)
			got, errs := make([]string, len(cases)), make([]error, len(cases))
			few := make(chan struct{}, 16) // QUIC refuses connections that come all at once
			abreast(cases, func(i int, c rawRequest) {
				few <- struct{}{}
				defer func() { <-few }()
				c.fields = append([]string(nil), c.fields...)
				for j := range c.fields {
					c.fields[j] = strings.ReplaceAll(c.fields[j], "/000/", fmt.Sprintf("/%03d/", i))
				}
				got[i], errs[i] = send(t.Context(), e, c)
			})
			if err := e.stop(); err != nil {
				t.Error(err)
			}
			for i, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					outcome, served := got[i], 0
					switch {
					case outcome == "200":
						served = 1
					case outcome == "reset", strings.HasPrefix(outcome, "4"), strings.HasPrefix(outcome, "5") && outcome != "502":
						outcome = "refused"
					}
					wants := c.wants
					if c.lax && version == "3" {
						wants, served = "200|refused", atMostOne
					}
					if errs[i] != nil || !oneOf(outcome, wants) {
						t.Errorf("the client sees %q, %v, want %s", got[i], errs[i], wants)
					}
					judgeUpstream(t, upstreams[i].wait(t), served, true, c.sees, c.hides)
				})
			}
		})
	}
}
