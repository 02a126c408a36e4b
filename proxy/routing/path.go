package routing

import (
	"errors"
	"strings"
)

// ErrPath says that a path cannot be routed: it does not begin with a slash, or holds a broken escape or a control character.
var ErrPath = errors.New("malformed path")

const upperHex = "0123456789ABCDEF"

// Normalize returns the one form of an escaped path that is both matched and forwarded (RFC 3986 section 6.2.2): escapes of
// unreserved characters are decoded, the hex digits of others are upper case, what may not stand in a path is escaped, and
// dot segments, %2e spellings too, are resolved. %2F stays what it is: part of a segment. Normalize is idempotent.
func Normalize(escaped string) (string, error) {
	if escaped == "" || escaped[0] != '/' {
		return "", ErrPath
	}
	clean, err := normalizeEscapes(escaped)
	if err != nil {
		return "", err
	}
	if !strings.Contains(clean, "/.") {
		return clean, nil
	}
	return removeDotSegments(clean), nil
}

func normalizeEscapes(escaped string) (string, error) {
	plain := true
	for _, c := range []byte(escaped) {
		if c == '%' || !inPath(c) {
			plain = false
			break
		}
	}
	if plain {
		return escaped, nil
	}
	out := make([]byte, 0, len(escaped)+16)
	for i := 0; i < len(escaped); i++ {
		c := escaped[i]
		if c == '%' {
			if i+2 >= len(escaped) {
				return "", ErrPath
			}
			high, low := unhex(escaped[i+1]), unhex(escaped[i+2])
			if high < 0 || low < 0 {
				return "", ErrPath
			}
			c = byte(high<<4 | low)
			i += 2
			if c == 0 {
				return "", ErrPath
			}
			if unreserved(c) {
				out = append(out, c)
			} else {
				out = append(out, '%', upperHex[c>>4], upperHex[c&15])
			}
			continue
		}
		switch {
		case c < ' ' || c == 0x7f:
			return "", ErrPath
		case inPath(c):
			out = append(out, c)
		default:
			out = append(out, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(out), nil
}

// Query returns a raw query with everything escaped that may not stand in a request line: HTTP/2 and HTTP/3 let a space
// through, which would end the target in HTTP/1.1. What an application makes of the rest is its own business.
func Query(raw string) string {
	allowed := func(c byte) bool { return c > ' ' && c < 0x7f && strings.IndexByte("\"#<>", c) < 0 }
	start := 0
	for start < len(raw) && allowed(raw[start]) {
		start++
	}
	if start == len(raw) {
		return raw
	}
	out := []byte(raw[:start])
	for _, c := range []byte(raw[start:]) {
		if allowed(c) {
			out = append(out, c)
		} else {
			out = append(out, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(out)
}

// removeDotSegments is RFC 3986 section 5.2.4 for a path that begins with a slash.
func removeDotSegments(path string) string {
	out := make([]byte, 0, len(path))
	for rest := path; rest != ""; {
		end := strings.IndexByte(rest[1:], '/') + 1
		segment, last := rest, end == 0
		if !last {
			segment = rest[:end]
		}
		rest = rest[len(segment):]
		switch segment {
		case "/.":
		case "/..":
			for len(out) > 0 {
				c := out[len(out)-1]
				out = out[:len(out)-1]
				if c == '/' {
					break
				}
			}
		default:
			out = append(out, segment...)
			continue
		}
		if last {
			out = append(out, '/')
		}
	}
	return string(out)
}

// Readings are what servers may make of a path in Normalize's form: many take a run of slashes for one, or %2F for a slash, and
// some of those resolve the dot segments that come of it, before or after. Hardly a path has any.
func Readings(path string) []string {
	const escaped = "%2F"
	if !strings.Contains(path, "//") && !strings.Contains(path, escaped) {
		return nil
	}
	decoded := strings.ReplaceAll(path, escaped, "/")
	merged := mergeSlashes(decoded)
	return []string{mergeSlashes(path), merged, removeDotSegments(merged), mergeSlashes(removeDotSegments(decoded))}
}

func mergeSlashes(path string) string {
	if !strings.Contains(path, "//") {
		return path
	}
	merged := make([]byte, 0, len(path))
	for i := range len(path) {
		if path[i] != '/' || i == 0 || path[i-1] != '/' {
			merged = append(merged, path[i])
		}
	}
	return string(merged)
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// inPath is pchar of RFC 3986 without escapes, and the slash.
func inPath(c byte) bool {
	return unreserved(c) || strings.IndexByte("!$&'()*+,;=:@/", c) >= 0
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	default:
		return -1
	}
}
