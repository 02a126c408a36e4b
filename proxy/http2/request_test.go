package http2_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/message"
)

// tell answers with what the request is, as it was understood.
func tell(stream message.Stream) {
	head := stream.Head()
	var told strings.Builder
	fmt.Fprintf(&told, "%s %s %s length %d", head.Method, head.Authority, head.Target(), head.Length)
	if head.Protocol != "" {
		told.WriteString(" to " + head.Protocol)
	}
	if head.Expect {
		told.WriteString(" expects")
	}
	if head.Trailers {
		told.WriteString(" takes trailers")
	}
	for _, f := range head.All() {
		fmt.Fprintf(&told, " | %s: %s", f.Name, f.Value)
	}
	all, err := content(stream.Body())
	fmt.Fprintf(&told, " | content %q", all)
	if trailer := stream.Body().Trailer(); trailer != nil {
		for _, f := range trailer.All() {
			fmt.Fprintf(&told, " | trailer %s: %s", f.Name, f.Value)
		}
	}
	if errors.Is(err, message.ErrMalformed) {
		told.WriteString(" malformed")
	}
	answer(stream, 200, told.String())
}

func TestRequestsAreUnderstood(t *testing.T) {
	t.Parallel()
	p := service{handler: tell}.dial(t)
	for _, c := range []struct {
		fields []hpack.HeaderField
		want   string
	}{
		{head("GET", "/"), "GET localhost / length 0"},
		{head("GET", "/a?"), "GET localhost /a? length 0"},
		{head("GET", "/a?b=c?d"), "GET localhost /a?b=c?d length 0"},
		{head("OPTIONS", "*"), "OPTIONS localhost * length 0"},
		{head("GET", "//x/../y;z=%zz"), "GET localhost //x/../y;z=%zz length 0"},
		{head("PROPFIND", "/"), "PROPFIND localhost / length 0"},
		{head("GET", "/", field("X-Lower", "")), ""},
		{head("GET", "/", field("x-empty", "")), "GET localhost / length 0 | x-empty: "},
		{head("GET", "/", field("x-text", "\xff\t text")), "GET localhost / length 0 | x-text: \xff\t text"},
		{head("GET", "/", field("te", "trailers")), "GET localhost / length 0 takes trailers"},
		{head("GET", "/", field("host", "LOCALHOST")), "GET localhost / length 0"},
		{head("GET", "/", field("content-length", "0")), "GET localhost / length 0"},
		{head("GET", "/", field("http2-settings", "AAMAAABk")), "GET localhost / length 0"},
		{head("GET", "/", field("expect", "100-continue")), "GET localhost / length 0"},
		{head("GET", "/", field("cookie", "a=1"), field("x-between", "1"), field("cookie", "b=2"), field("cookie", "c=3")),
			"GET localhost / length 0 | x-between: 1 | Cookie: a=1; b=2; c=3"},
		{[]hpack.HeaderField{field(":path", "/p"), field(":scheme", "http"), field(":method", "GET"), field("host", "example.com:80")}, "GET example.com:80 /p length 0"},
		{head("GET", "/", field("x-a", "1"), field("x-b", "2"), field("x-a", "3")), "GET localhost / length 0 | x-a: 1 | x-b: 2 | x-a: 3"},
	} {
		r := p.answer(p.open(true, c.fields))
		if want := c.want + ` | content ""`; c.want != "" && string(r.content) != want {
			t.Errorf("%v:\ngot  %s\nwant %s", c.fields, r.content, want)
		}
		if c.want == "" && r.code != xhttp2.ErrCodeProtocol {
			t.Errorf("%v: %v", c.fields, r.frames)
		}
	}
}

func TestContentAndTrailersOfRequestsAreUnderstood(t *testing.T) {
	t.Parallel()
	p := service{handler: tell}.dial(t)
	for _, c := range []struct {
		name, want string
		head       []hpack.HeaderField
		more       func(id uint32)
	}{
		{"unknown length", `length -1 | content "ab"`, nil, func(id uint32) { p.data(id, false, "a"); p.data(id, true, "b") }},
		{"known length", `length 2 | content "ab"`, []hpack.HeaderField{field("content-length", "2")}, func(id uint32) { p.data(id, true, "ab") }},
		{"none after all", `length -1 | content ""`, nil, func(id uint32) { p.data(id, true, "") }},
		{"a length of 0", `length 0 | content ""`, []hpack.HeaderField{field("content-length", "0")}, func(id uint32) { p.data(id, true, "") }},
		{"trailers", `length -1 | content "a" | trailer x-sum: 1`, nil, func(id uint32) { p.data(id, false, "a"); p.headers(id, true, []hpack.HeaderField{field("x-sum", "1")}) }},
		{"empty trailers", `length -1 | content "a"`, nil, func(id uint32) { p.data(id, false, "a"); p.headers(id, true, nil) }},
		{"trailers alone", `length -1 | content "" | trailer x-sum: 1`, nil, func(id uint32) { p.headers(id, true, []hpack.HeaderField{field("x-sum", "1")}) }},
		{"trailers behind a known length", `length 1 | content "a" | trailer x-sum: 1`, []hpack.HeaderField{field("content-length", "1")},
			func(id uint32) { p.data(id, false, "a"); p.headers(id, true, []hpack.HeaderField{field("x-sum", "1")}) }},
		{"expectation", `length 1 expects | content "a"`, []hpack.HeaderField{field("content-length", "1"), field("expect", "100-Continue")}, func(id uint32) { p.data(id, true, "a") }},
	} {
		id := p.post("/", c.head...)
		c.more(id)
		r := p.answer(id)
		if want := "POST localhost / " + c.want; string(r.content) != want {
			t.Errorf("%s:\ngot  %s (%v)\nwant %s", c.name, r.content, r.code, want)
		}
	}
}

// without is the head of a request that lacks a field.
func without(name string) []hpack.HeaderField {
	return slices.DeleteFunc(head("GET", "/"), func(f hpack.HeaderField) bool { return f.Name == name })
}

// with is the head of a request of which one pseudo-field is another.
func with(name, value string) []hpack.HeaderField {
	list := head("GET", "/")
	for i := range list {
		if list[i].Name == name {
			list[i].Value = value
		}
	}
	return list
}

// malformed are heads that RFC 9113 section 8 calls malformed, or that would be read in another way by others.
func malformed() map[string][]hpack.HeaderField {
	get := func(more ...hpack.HeaderField) []hpack.HeaderField { return head("GET", "/", more...) }
	cases := map[string][]hpack.HeaderField{
		"nothing":                      {},
		"no method":                    without(":method"),
		"no scheme":                    without(":scheme"),
		"no path":                      without(":path"),
		"empty method":                 with(":method", ""),
		"method with a space":          with(":method", "GE T"),
		"method with a line break":     with(":method", "GET\r\n"),
		"empty scheme":                 with(":scheme", ""),
		"another scheme":               with(":scheme", "ftp"),
		"scheme with more":             with(":scheme", "https://evil"),
		"empty path":                   with(":path", ""),
		"path with a line break":       with(":path", "/\r\nHost: evil"),
		"path with NUL":                with(":path", "/\x00"),
		"authority with a line break":  with(":authority", "localhost\r\nx: y"),
		"status":                       append([]hpack.HeaderField{field(":status", "200")}, get()...),
		"unknown pseudo-field":         append([]hpack.HeaderField{field(":unknown", "x")}, get()...),
		"empty pseudo-field":           append([]hpack.HeaderField{field(":", "x")}, get()...),
		"upper-case pseudo-field":      append([]hpack.HeaderField{field(":Method", "GET")}, get()...),
		"pseudo-field after others":    get(field("x-a", "1"), field(":authority", "evil")),
		"method after others":          append(without(":method"), field("x-a", "1"), field(":method", "GET")),
		"empty name":                   get(field("", "x")),
		"upper case":                   get(field("X-Upper", "x")),
		"upper case within":            get(field("x-uPper", "x")),
		"name with a space":            get(field("x a", "x")),
		"name with a space behind":     get(field("content-length ", "5")),
		"name with a colon":            get(field("x:a", "x")),
		"name with NUL":                get(field("x\x00", "x")),
		"name with a line break":       get(field("x\r\ny", "x")),
		"name with a control":          get(field("x\x7f", "x")),
		"name beyond ASCII":            get(field("x\xc3\xa4", "x")),
		"value with a line break":      get(field("x", "a\r\nevil: yes")),
		"value with CR":                get(field("x", "a\rb")),
		"value with LF":                get(field("x", "a\nb")),
		"value with NUL":               get(field("x", "a\x00b")),
		"value with DEL":               get(field("x", "a\x7fb")),
		"value with a control":         get(field("x", "a\x01b")),
		"space before a value":         get(field("x", " a")),
		"space behind a value":         get(field("x", "a ")),
		"tab behind a value":           get(field("x", "a\t")),
		"connection":                   get(field("connection", "close")),
		"connection, empty":            get(field("connection", "")),
		"keep-alive":                   get(field("keep-alive", "timeout=5")),
		"proxy-connection":             get(field("proxy-connection", "close")),
		"transfer-encoding":            get(field("transfer-encoding", "chunked")),
		"upgrade":                      get(field("upgrade", "h2c")),
		"te":                           get(field("te", "gzip")),
		"te with more":                 get(field("te", "trailers, gzip")),
		"another host":                 get(field("host", "evil")),
		"host twice":                   append(without(":authority"), field("host", "localhost"), field("host", "localhost")),
		"host twice beside it":         get(field("host", "localhost"), field("host", "evil")),
		"content-length without":       get(field("content-length", "5")),
		"content-length twice":         get(field("content-length", "0"), field("content-length", "0")),
		"content-length, negative":     get(field("content-length", "-1")),
		"content-length, signed":       get(field("content-length", "+0")),
		"content-length, empty":        get(field("content-length", "")),
		"content-length, hexadecimal":  get(field("content-length", "0x0")),
		"content-length, list":         get(field("content-length", "0, 0")),
		"content-length, too large":    get(field("content-length", "9223372036854775808")),
		"CONNECT with a path":          with(":method", "CONNECT"),
		"protocol without CONNECT":     append([]hpack.HeaderField{field(":protocol", "websocket")}, get()...),
		"protocol with the end":        append([]hpack.HeaderField{field(":protocol", "websocket")}, with(":method", "CONNECT")...),
		"protocol without a scheme":    {field(":method", "CONNECT"), field(":protocol", "websocket"), field(":path", "/"), field(":authority", "localhost")},
		"crumb with a line break":      get(field("cookie", "a=1"), field("cookie", "b\r\n")),
		"underscore is fine, this not": get(field("x_(y)", "x")),
	}
	for _, twice := range head("GET", "/") {
		cases[twice.Name+" twice"] = append([]hpack.HeaderField{twice}, head("GET", "/")...)
	}
	return cases
}

func TestMalformedHeadsAreResetAndLogged(t *testing.T) {
	t.Parallel()
	p := service{}.dial(t)
	for _, name := range slices.Sorted(maps.Keys(malformed())) {
		r := p.answer(p.open(true, malformed()[name]))
		if r.code != xhttp2.ErrCodeProtocol || r.status != 0 {
			t.Errorf("%s: %v %v", name, r.frames, r.code)
		}
	}
	p.alive()
	p.until("the log", func() bool {
		p.settle()
		return len(p.served.refusals()) == len(malformed())
	})
	for _, refusal := range p.served.refusals() {
		if !strings.HasPrefix(refusal, "400 ") || len(refusal) < 10 {
			t.Errorf("logged: %q", refusal)
		}
	}
}

// Requests that are well-formed but not taken in are answered.
func TestRequestsThatAreNotTakenInAreAnswered(t *testing.T) {
	t.Parallel()
	limits := http1.Limits{HeadBytes: 4 << 10, TargetBytes: 100, Fields: 5}
	p := service{limits: limits}.dial(t)
	many := func(n int) (list []hpack.HeaderField) {
		for i := range n {
			list = append(list, field(fmt.Sprintf("x-%d", i), ""))
		}
		return list
	}
	for _, c := range []struct {
		name   string
		fields []hpack.HeaderField
		status int
	}{
		{"TRACE", with(":method", "TRACE"), 501},
		{"CONNECT", []hpack.HeaderField{field(":method", "CONNECT"), field(":authority", "localhost:443")}, 501},
		{"another protocol", []hpack.HeaderField{field(":method", "CONNECT"), field(":protocol", "masque"), field(":scheme", "https"), field(":path", "/"), field(":authority", "localhost")}, 501},
		{"no authority", without(":authority"), 400},
		{"authority with a user", with(":authority", "user@localhost"), 400},
		{"authority with a space", with(":authority", "local host"), 400},
		{"authority with a path", with(":authority", "localhost/x"), 400},
		{"path without a slash", with(":path", "x"), 400},
		{"an absolute target", with(":path", "http://localhost/"), 400},
		{"a star", with(":path", "*"), 400},
		{"path with a space", with(":path", "/a b"), 400},
		{"path with a fragment", with(":path", "/a#b"), 400},
		{"target at its bound", with(":path", "/"+strings.Repeat("a", 99)), 200},
		{"target beyond it", with(":path", "/"+strings.Repeat("a", 100)), 414},
		{"fields at their bound", head("GET", "/", many(5)...), 200},
		{"fields beyond it", head("GET", "/", many(6)...), 431},
		{"crumbs are one field", head("GET", "/", append(many(4), field("cookie", "a"), field("cookie", "b"), field("cookie", "c"))...), 200},
		{"a large head", head("GET", "/", field("x-large", strings.Repeat("x", 5000))), 431},
		{"an expectation", head("GET", "/", field("expect", "200-maybe")), 417},
	} {
		before := len(p.served.refusals())
		r := p.answer(p.open(true, c.fields))
		if r.status != c.status || r.reset {
			t.Errorf("%s: %d %v, want %d", c.name, r.status, r.frames, c.status)
		}
		p.settle()
		if logged := p.served.refusals()[before:]; (c.status != 200) != (len(logged) == 1) {
			t.Errorf("%s: logged %q", c.name, logged)
		}
	}
}

// What follows a good head may be malformed: the stream ends, and whoever reads it learns that it did not come whole.
func TestMalformedContentEndsTheStream(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		length string
		code   xhttp2.ErrCode
		say    func(p *peer, id uint32)
	}{
		"too little":             {"5", xhttp2.ErrCodeProtocol, func(p *peer, id uint32) { p.data(id, true, "1234") }},
		"nothing":                {"5", xhttp2.ErrCodeProtocol, func(p *peer, id uint32) { p.data(id, true, "") }},
		"too much":               {"5", xhttp2.ErrCodeProtocol, func(p *peer, id uint32) { p.data(id, false, "123456") }},
		"more than nothing":      {"0", xhttp2.ErrCodeProtocol, func(p *peer, id uint32) { p.data(id, true, "1") }},
		"too little, trailers":   {"5", xhttp2.ErrCodeProtocol, func(p *peer, id uint32) { p.data(id, false, "1"); p.headers(id, true, nil) }},
		"trailers without end":   {"", xhttp2.ErrCodeProtocol, func(p *peer, id uint32) { p.headers(id, false, []hpack.HeaderField{field("x", "y")}) }},
		"pseudo-field behind":    {"", xhttp2.ErrCodeProtocol, func(p *peer, id uint32) { p.headers(id, true, []hpack.HeaderField{field(":path", "/")}) }},
		"upper-case trailer":     {"", xhttp2.ErrCodeProtocol, func(p *peer, id uint32) { p.headers(id, true, []hpack.HeaderField{field("X", "y")}) }},
		"connection behind":      {"", xhttp2.ErrCodeProtocol, func(p *peer, id uint32) { p.headers(id, true, []hpack.HeaderField{field("connection", "y")}) }},
		"coding behind":          {"", xhttp2.ErrCodeProtocol, func(p *peer, id uint32) { p.headers(id, true, []hpack.HeaderField{field("transfer-encoding", "y")}) }},
		"line break behind":      {"", xhttp2.ErrCodeProtocol, func(p *peer, id uint32) { p.headers(id, true, []hpack.HeaderField{field("x", "y\r\nz: w")}) }},
		"data behind the end":    {"", xhttp2.ErrCodeStreamClosed, func(p *peer, id uint32) { p.data(id, true, "x"); p.data(id, false, "x") }},
		"headers behind the end": {"", xhttp2.ErrCodeStreamClosed, func(p *peer, id uint32) { p.data(id, true, "x"); p.headers(id, true, nil) }},
		"window of nothing":      {"", xhttp2.ErrCodeProtocol, func(p *peer, id uint32) { _ = p.WriteWindowUpdate(id, 0) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun := make(chan struct{})
			failed := make(chan error, 1)
			p := service{handler: func(stream message.Stream) {
				if stream.Head().Method == "HEAD" {
					answer(stream, 200, "")
					return
				}
				close(begun)
				_, err := content(stream.Body())
				<-stream.Context().Done()
				failed <- err
			}}.dial(t)
			var more []hpack.HeaderField
			if c.length != "" {
				more = append(more, field("content-length", c.length))
			}
			id := p.post("/", more...)
			<-begun
			c.say(p, id)
			if r := p.answer(id); r.code != c.code || r.status != 0 {
				t.Errorf("%v %v", r.frames, r.code)
			}
			if err := <-failed; c.code == xhttp2.ErrCodeProtocol && !errors.Is(err, message.ErrMalformed) {
				t.Errorf("the handler found: %v", err)
			}
			p.alive()
		})
	}
}

// Frames that no stream can be blamed for end the connection.
func TestBreachesEndTheConnection(t *testing.T) {
	t.Parallel()
	get := func(p *peer) []byte { return p.encode(head("GET", "/")) }
	for name, c := range map[string]struct {
		code xhttp2.ErrCode
		say  func(p *peer)
	}{
		"frame too large":            {xhttp2.ErrCodeFrameSize, func(p *peer) { p.frame(xhttp2.FrameData, 0, 1, make([]byte, 16385)) }},
		"data on stream 0":           {xhttp2.ErrCodeProtocol, func(p *peer) { p.data(0, false, "x") }},
		"data on an idle stream":     {xhttp2.ErrCodeProtocol, func(p *peer) { p.data(1, false, "x") }},
		"window of an idle stream":   {xhttp2.ErrCodeProtocol, func(p *peer) { _ = p.WriteWindowUpdate(1, 1) }},
		"reset of an idle stream":    {xhttp2.ErrCodeProtocol, func(p *peer) { _ = p.WriteRSTStream(1, 8) }},
		"reset of stream 0":          {xhttp2.ErrCodeProtocol, func(p *peer) { _ = p.WriteRSTStream(0, 8) }},
		"headers on stream 0":        {xhttp2.ErrCodeProtocol, func(p *peer) { p.headers(0, true, head("GET", "/")) }},
		"headers on an even stream":  {xhttp2.ErrCodeProtocol, func(p *peer) { p.headers(2, true, head("GET", "/")) }},
		"headers on an older stream": {xhttp2.ErrCodeStreamClosed, func(p *peer) { p.headers(5, true, head("GET", "/")); p.settle(); p.headers(3, true, head("GET", "/")) }},
		"headers on an ended stream": {xhttp2.ErrCodeStreamClosed, func(p *peer) { p.answer(p.get("/")); p.headers(1, true, head("GET", "/")) }},
		"settings on a stream":       {xhttp2.ErrCodeProtocol, func(p *peer) { p.frame(xhttp2.FrameSettings, 0, 1, nil) }},
		"settings of a wrong size":   {xhttp2.ErrCodeFrameSize, func(p *peer) { p.frame(xhttp2.FrameSettings, 0, 0, make([]byte, 5)) }},
		"ack with settings":          {xhttp2.ErrCodeFrameSize, func(p *peer) { p.frame(xhttp2.FrameSettings, 1, 0, make([]byte, 6)) }},
		"window setting":             {xhttp2.ErrCodeFlowControl, func(p *peer) { p.set(window(1 << 31)) }},
		"frame size setting, small":  {xhttp2.ErrCodeProtocol, func(p *peer) { p.set(xhttp2.Setting{ID: xhttp2.SettingMaxFrameSize, Val: 16383}) }},
		"frame size setting, large":  {xhttp2.ErrCodeProtocol, func(p *peer) { p.set(xhttp2.Setting{ID: xhttp2.SettingMaxFrameSize, Val: 1 << 24}) }},
		"push setting":               {xhttp2.ErrCodeProtocol, func(p *peer) { p.set(xhttp2.Setting{ID: xhttp2.SettingEnablePush, Val: 2}) }},
		"ping on a stream":           {xhttp2.ErrCodeProtocol, func(p *peer) { p.frame(xhttp2.FramePing, 0, 1, make([]byte, 8)) }},
		"ping of a wrong size":       {xhttp2.ErrCodeFrameSize, func(p *peer) { p.frame(xhttp2.FramePing, 0, 0, make([]byte, 7)) }},
		"goaway on a stream":         {xhttp2.ErrCodeProtocol, func(p *peer) { p.frame(xhttp2.FrameGoAway, 0, 1, make([]byte, 8)) }},
		"goaway of a wrong size":     {xhttp2.ErrCodeFrameSize, func(p *peer) { p.frame(xhttp2.FrameGoAway, 0, 0, make([]byte, 7)) }},
		"window of a wrong size":     {xhttp2.ErrCodeFrameSize, func(p *peer) { p.frame(xhttp2.FrameWindowUpdate, 0, 0, make([]byte, 3)) }},
		"window of nothing":          {xhttp2.ErrCodeProtocol, func(p *peer) { _ = p.WriteWindowUpdate(0, 0) }},
		"reset of a wrong size":      {xhttp2.ErrCodeFrameSize, func(p *peer) { p.post("/"); p.frame(xhttp2.FrameRSTStream, 0, 1, make([]byte, 3)) }},
		"push":                       {xhttp2.ErrCodeProtocol, func(p *peer) { p.frame(xhttp2.FramePushPromise, 4, 1, []byte{0, 0, 0, 2}) }},
		"priority on stream 0":       {xhttp2.ErrCodeProtocol, func(p *peer) { p.frame(xhttp2.FramePriority, 0, 0, make([]byte, 5)) }},
		"update on a stream":         {xhttp2.ErrCodeProtocol, func(p *peer) { p.frame(0x10, 0, 1, []byte("\x00\x00\x00\x01u=1")) }},
		"update of stream 0":         {xhttp2.ErrCodeProtocol, func(p *peer) { p.frame(0x10, 0, 0, []byte("\x00\x00\x00\x00u=1")) }},
		"update of a wrong size":     {xhttp2.ErrCodeFrameSize, func(p *peer) { p.frame(0x10, 0, 0, make([]byte, 3)) }},
		"padding too long":           {xhttp2.ErrCodeProtocol, func(p *peer) { p.post("/"); p.frame(xhttp2.FrameData, 8, 1, []byte{3, 0, 0}) }},
		"padding without length":     {xhttp2.ErrCodeProtocol, func(p *peer) { p.post("/"); p.frame(xhttp2.FrameData, 8, 1, nil) }},
		"padding of headers":         {xhttp2.ErrCodeProtocol, func(p *peer) { p.frame(xhttp2.FrameHeaders, 0xd, 1, append([]byte{200}, get(p)...)) }},
		"priority without room":      {xhttp2.ErrCodeFrameSize, func(p *peer) { p.frame(xhttp2.FrameHeaders, 0x25, 1, make([]byte, 4)) }},
		"continuation of nothing":    {xhttp2.ErrCodeProtocol, func(p *peer) { p.post("/"); _ = p.WriteContinuation(1, true, get(p)) }},
		"continuation of another":    {xhttp2.ErrCodeProtocol, func(p *peer) { p.frame(xhttp2.FrameHeaders, 1, 1, get(p)); _ = p.WriteContinuation(3, true, nil) }},
		"data within a block":        {xhttp2.ErrCodeProtocol, func(p *peer) { p.frame(xhttp2.FrameHeaders, 0, 1, get(p)); p.data(1, true, "") }},
		"ping within a block":        {xhttp2.ErrCodeProtocol, func(p *peer) { p.frame(xhttp2.FrameHeaders, 0, 1, get(p)); _ = p.WritePing(false, [8]byte{}) }},
		"unknown within a block":     {xhttp2.ErrCodeProtocol, func(p *peer) { p.frame(xhttp2.FrameHeaders, 0, 1, get(p)); p.frame(0xfa, 0, 0, nil) }},
		"no such index":              {xhttp2.ErrCodeCompression, func(p *peer) { p.frame(xhttp2.FrameHeaders, 5, 1, []byte{0xff, 0x7f}) }},
		"index 0":                    {xhttp2.ErrCodeCompression, func(p *peer) { p.frame(xhttp2.FrameHeaders, 5, 1, []byte{0x80}) }},
		"half a field":               {xhttp2.ErrCodeCompression, func(p *peer) { p.frame(xhttp2.FrameHeaders, 5, 1, get(p)[:4]) }},
		"table beyond its bound":     {xhttp2.ErrCodeCompression, func(p *peer) { p.frame(xhttp2.FrameHeaders, 5, 1, []byte{0x3f, 0xff, 0x7f}) }},
		"broken trailers":            {xhttp2.ErrCodeCompression, func(p *peer) { p.post("/"); p.frame(xhttp2.FrameHeaders, 5, 1, []byte{0x80}) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := service{handler: func(stream message.Stream) {
				if stream.Head().Method == "POST" {
					<-stream.Context().Done()
				}
				answer(stream, 200, "")
			}}.dial(t)
			c.say(p)
			if g := p.over(); g.code != c.code {
				t.Errorf("%v, want %v", g, c.code)
			}
			if _, told := errors.AsType[*http2.ConnectionError](p.served.wait(t)); !told {
				t.Error(p.served.err)
			}
		})
	}
}

func TestTheFirstFrameIsSettings(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]string{
		"another protocol": "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"another preface":  strings.Replace(xhttp2.ClientPreface, "SM", "XX", 1),
		"a ping":           xhttp2.ClientPreface + "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678",
		"an ack":           xhttp2.ClientPreface + "\x00\x00\x00\x04\x01\x00\x00\x00\x00",
		"something":        xhttp2.ClientPreface + "\x00\x00\x00\xfa\x00\x00\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := service{}.connect(t)
			p.raw([]byte(first))
			if g := p.over(); g.code != xhttp2.ErrCodeProtocol {
				t.Errorf("%v", g)
			}
		})
	}
}

// What a server must ignore (RFC 9113 sections 4.1, 5.1 and 5.5).
func TestWhatIsUnknownOrLateIsIgnored(t *testing.T) {
	t.Parallel()
	p := service{}.dial(t)
	p.frame(0xfa, 0xff, 77, []byte("unknown"))
	p.set(xhttp2.Setting{ID: 0xfa, Val: 1})
	p.frame(xhttp2.FramePing, 0xfe, 0, make([]byte, 8)) // flags that nobody defined
	_ = p.WritePriority(9, xhttp2.PriorityParam{StreamDep: 3})
	p.frame(xhttp2.FrameGoAway, 0, 0, make([]byte, 20))
	p.alive()
	_ = p.WriteWindowUpdate(p.lastID, 10) // it has ended
	_ = p.WriteRSTStream(p.lastID, 8)
	_ = p.WritePriority(p.lastID, xhttp2.PriorityParam{StreamDep: 3})
	p.frame(xhttp2.FrameHeaders, 0x80|xhttp2.FlagHeadersEndHeaders|xhttp2.FlagHeadersEndStream, p.lastID+2, p.encode(head("HEAD", "/")))
	p.lastID += 2
	p.answer(p.lastID)
	p.frame(xhttp2.FrameHeaders, xhttp2.FlagHeadersEndHeaders|xhttp2.FlagHeadersEndStream|xhttp2.FlagHeadersPadded|xhttp2.FlagHeadersPriority, p.lastID+2,
		slices.Concat([]byte{3, 0, 0, 0, 1, 9}, p.encode(head("HEAD", "/")), make([]byte, 3)))
	p.lastID += 2
	p.answer(p.lastID)
}
