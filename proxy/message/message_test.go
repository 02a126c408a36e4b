package message_test

import (
	"runtime"
	"strings"
	"testing"
	"weak"

	"github.com/portico-web/portico/proxy/message"
)

func TestNamesAreKnownInAnyCase(t *testing.T) {
	t.Parallel()
	for _, spelling := range []string{"Host", "Content-Length", "X-Forwarded-For", "TE", "ETag", "HTTP2-Settings", "RateLimit-Policy", "Traceparent"} {
		name := message.Known(spelling)
		if name == message.Other || name.String() != spelling {
			t.Errorf("%s is %q", spelling, name)
		}
		if message.Known(strings.ToUpper(spelling)) != name || message.Known([]byte(strings.ToLower(spelling))) != name {
			t.Errorf("%s in another case is another name", spelling)
		}
	}
	for _, stranger := range []string{"", "H", "Hosts", "X-Forwarded-Fox", "Content_Length", "\x00", "ontent-Length"} {
		if name := message.Known(stranger); name != message.Other {
			t.Errorf("%q passes for %s", stranger, name)
		}
	}
}

func text(fields *message.Fields) string {
	var out strings.Builder
	for _, field := range fields.All() {
		out.WriteString(string(field.Name) + ": " + string(field.Value) + "\n")
	}
	return out.String()
}

func TestEditsKeepTheOrderOfTheRest(t *testing.T) {
	t.Parallel()
	var fields message.Fields
	fields.AddNamed("accept", "a")
	fields.AddNamed("X-Mine", "1")
	fields.Add(message.Cookie, "c=1")
	fields.AddNamed("x-mine", "2")
	fields.Add(message.Cookie, "d=2")
	if got := string(fields.Get(message.Accept)) + string(fields.Lookup("X-MINE")) + string(fields.Get(message.Cookie)); got != "a1c=1" {
		t.Errorf("looked up %s", got)
	}
	if fields.Get(message.Host) != nil || fields.Lookup("x-min") != nil || fields.Count(message.Cookie) != 2 || fields.Len() != 5 {
		t.Error("look-ups find what is not there")
	}
	fields.Set(message.Cookie, "e=3")
	if got := text(&fields); got != "accept: a\nX-Mine: 1\nx-mine: 2\nCookie: e=3\n" {
		t.Error(got)
	}
	fields.DeleteFunc(func(field *message.Field) bool { return field.Is("x-Mine") })
	fields.SetBytes(message.Host, []byte("h"))
	fields.Del(message.Accept)
	fields.Del(message.Accept)
	if got := text(&fields); got != "Cookie: e=3\nHost: h\n" {
		t.Error(got)
	}
	var copied message.Fields
	copied.AddNamed("old", "x")
	copied.CopyFrom(&fields)
	fields.Reset()
	fields.AddNamed("overwrites", "the buffer")
	if got := text(&copied); got != "Cookie: e=3\nHost: h\n" {
		t.Error(got)
	}
}

func TestMembersOfAFieldAreFound(t *testing.T) {
	t.Parallel()
	var fields message.Fields
	fields.Add(message.Vary, "Accept , origin")
	fields.Add(message.Cookie, "a=1; b=2 ;c; =d")
	fields.Add(message.Vary, "")
	fields.Add(message.Cookie, "A=3; b=4; e=")
	for member, listed := range map[string]bool{"Origin": true, "accept": true, "Accept-Encoding": false, "Acc": false, "b=2": false} {
		if fields.Lists(message.Vary, member) != listed {
			t.Errorf("%s: listed is not %v", member, listed)
		}
	}
	for name, value := range map[string]string{"a": "1", "A": "3", "b": "2", "c": "", "e": "", "Accept": ""} {
		if got := string(fields.Cookie(name)); got != value {
			t.Errorf("the cookie %s is %q, want %q", name, got, value)
		}
	}
}

func TestTextStaysWhileTheBufferGrows(t *testing.T) {
	t.Parallel()
	var head message.Head
	for range 2 {
		first := head.Store([]byte("first"))
		second := head.Store([]byte("second"))
		if _ = append(first, "!!!"...); string(second) != "second" {
			t.Fatal("a text runs into the next")
		}
		head.AddStored(message.Other, first, second)
		for range 1000 {
			head.AddNamed("name", strings.Repeat("x", 100))
		}
		if got := head.All()[0]; string(got.Name) != "first" || string(got.Value) != "second" {
			t.Errorf("%s: %s", got.Name, got.Value)
		}
		head.Method, head.Length = "GET", 7
		head.Reset()
		if head.Len() != 0 || head.Method != "" || head.Length != 0 {
			t.Error("something is left after Reset")
		}
	}
}

func TestTheMemoryOfALargeHeadIsGivenBack(t *testing.T) {
	t.Parallel()
	var fields message.Fields
	fields.AddNamed("large", strings.Repeat("x", 1<<20))
	large := weak.Make(&fields.All()[0].Value[0])
	fields.Reset()
	runtime.GC()
	if large.Value() != nil {
		t.Error("it is still there after Reset")
	}
	runtime.KeepAlive(&fields)
}

func TestATargetIsPathAndQuery(t *testing.T) {
	t.Parallel()
	for want, head := range map[string]message.Head{
		"/a": {Path: "/a"}, "/a?": {Path: "/a", HasQuery: true}, "/a?b": {Path: "/a", Query: "b", HasQuery: true},
	} {
		if got := head.Target(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func BenchmarkKnown(b *testing.B) {
	names := [][]byte{[]byte("host"), []byte("user-agent"), []byte("accept"), []byte("sec-fetch-mode"), []byte("Cookie")}
	for b.Loop() {
		for _, name := range names {
			message.Known(name)
		}
	}
}

func TestAuthoritiesAreHostsWithOrWithoutAPort(t *testing.T) {
	t.Parallel()
	for text, valid := range map[string]bool{
		"localhost": true, "example.com:8443": true, "a-b_c~.example.": true, "192.0.2.1:0": true, "[::1]": true, "[2001:db8::1]:65535": true,
		"": false, ":80": false, "example.com:": false, "example.com:65536": false, "example.com:+1": false, "example.com:000080": false, "a b": false,
		"user@example.com": false, "example.com/": false, "a,b": false, "[::1": false, "[::1]x": false, "[::1%eth0]": false, "[127.0.0.1]": false,
		"[::1]:": false, "a:1:2": false, "é.example": false, "a\x00": false, "a%41": false,
	} {
		if message.ValidAuthority(text) != valid {
			t.Errorf("%q: want %v", text, valid)
		}
	}
}

func TestOnlyWhatNoHeadHasToSayMayTrail(t *testing.T) {
	t.Parallel()
	for name, may := range map[string]bool{
		"X-Checksum": true, "grpc-status": true, "Server-Timing": true, "ETag": true, "content-length": false, "TRANSFER-ENCODING": false,
		"Host": false, "Cookie": false, "X-Forwarded-For": false, "Max-Forwards": false, "www-authenticate": false, "Alt-Svc": false,
	} {
		field := message.Field{ID: message.Known(name), Name: []byte(name)}
		if field.MayTrail() != may {
			t.Errorf("%s: want %v", name, may)
		}
	}
}
