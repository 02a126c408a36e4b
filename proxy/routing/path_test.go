package routing_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/portico-web/portico/proxy/routing"
)

func TestNormalizeYieldsOneFormOfAPath(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ path, want string }{
		{"/", "/"},
		{"/a/b", "/a/b"},
		{"/a/./b", "/a/b"},
		{"/a/../b", "/b"},
		{"/a/..", "/"},
		{"/a/b/..", "/a/"},
		{"/a/.", "/a/"},
		{"/../../etc/passwd", "/etc/passwd"},
		{"/a/%2e%2e/b", "/b"},
		{"/a/%2E%2e/%2e/b", "/b"},
		{"/static/.%2e/flower/", "/flower/"},
		{"/a%2fb", "/a%2Fb"},
		{"/a%2f..%2fb", "/a%2F..%2Fb"},
		{"/%61%7e%2D", "/a~-"},
		{"/a b", "/a%20b"},
		{"/한", "/%ED%95%9C"},
		{"/%ed%95%9c", "/%ED%95%9C"},
		{"/a\\b", "/a%5Cb"},
		{"//a//b", "//a//b"},
		{"/a/...", "/a/..."},
		{"/.well-known/x", "/.well-known/x"},
		{"/a;v=1:x@y!$&'()*+,=", "/a;v=1:x@y!$&'()*+,="},
		{"/%25", "/%25"},
		{"/%252e%252e/", "/%252e%252e/"},
	} {
		got, err := routing.Normalize(c.path)
		if err != nil || got != c.want {
			t.Errorf("%q: %q, %v; want %q", c.path, got, err, c.want)
		}
	}
	for _, path := range []string{"", "a", "*", "/%", "/%2", "/%zz", "/a%00b", "/a\x00", "/a\r\nb", "/\x7f"} {
		if got, err := routing.Normalize(path); err == nil {
			t.Errorf("%q is taken, as %q", path, got)
		}
	}
}

func TestAPathHasTheReadingsThatServersGiveIt(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/":                    "",
		"/a/b%20c/%252F":       "",
		"//a///b/":             "/a/b/",
		"/a%2Fb":               "/a%2Fb /a/b",
		"/%2Fa//b":             "/%2Fa/b /a/b",
		"/x%2F..%2Fa":          "/x%2F..%2Fa /x/../a /a",
		"/x/..%2F..%2Fa":       "/x/..%2F..%2Fa /x/../../a /a",
		"/x%2F.%2Fa%2F":        "/x%2F.%2Fa%2F /x/./a/ /x/a/",
		"/x%2F%2F..%2Fa":       "/x%2F%2F..%2Fa /x/../a /a /x/a",
		"/x%2F..%2F%2F..%2F..": "/x%2F..%2F%2F..%2F.. /x/../../.. /",
	} {
		var readings []string
		for _, reading := range routing.Readings(path) {
			if !slices.Contains(readings, reading) {
				readings = append(readings, reading)
			}
		}
		if got := strings.Join(readings, " "); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestAQueryCannotEndTheRequestLine(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"": "", "a=1&b=%20;c[]={x}|^`\\'": "a=1&b=%20;c[]={x}|^`\\'", "%zz": "%zz", "a b HTTP/1.1": "a%20b%20HTTP/1.1",
		"a#b": "a%23b", "\"<>": "%22%3C%3E", "한": "%ED%95%9C", "a\r\nb\x7f": "a%0D%0Ab%7F",
	} {
		if got := routing.Query(query); got != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{"/", "/a/../b", "/%2e%2e/", "/a%2F..", "/..;/x", "/a/.%2e/%2e./b", "//", "/./.././..//."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := routing.Normalize(path)
		if err != nil {
			return
		}
		if again, err := routing.Normalize(got); err != nil || again != got {
			t.Fatalf("%q: %q, then %q, %v", path, got, again, err)
		}
		if got[0] != '/' {
			t.Fatalf("%q: %q does not begin with a slash", path, got)
		}
		for segment := range strings.SplitSeq(got, "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("%q: %q has a dot segment", path, got)
			}
		}
		decoded, err := url.PathUnescape(got)
		if err != nil {
			t.Fatalf("%q: %q cannot be decoded: %v", path, got, err)
		}
		// net/url must write it as it stands, or it would be forwarded in another form than it was matched.
		if written := (&url.URL{Path: decoded, RawPath: got}).EscapedPath(); written != got {
			t.Fatalf("%q: %q is written as %q", path, got, written)
		}
	})
}
