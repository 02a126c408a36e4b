package guard

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/portico-web/portico/proxy/message"
)

// Source is a place in a request's head where a value stands. The zero value finds nothing.
type Source struct {
	cookie bool
	name   string
	id     message.Name
}

// unsourced are fields that a codec takes out of the head, or that tell nothing of a client.
var unsourced = []message.Name{
	message.Connection, message.ContentLength, message.Cookie, message.Expect, message.Host, message.KeepAlive, message.TE,
	message.Trailer, message.TransferEncoding, message.Upgrade,
}

// ParseSource reads header:NAME or cookie:NAME. A field that clients must not be believed is refused.
func ParseSource(text string) (Source, error) {
	kind, name, _ := strings.Cut(text, ":")
	source := Source{cookie: kind == "cookie", name: name, id: message.Known(name)}
	switch {
	case kind != "cookie" && kind != "header":
		return Source{}, fmt.Errorf("%q is neither header:NAME nor cookie:NAME", text)
	case !IsToken(name):
		return Source{}, fmt.Errorf("%q is not the name of a %s", name, kind)
	case source.cookie:
	case slices.Contains(unsourced, source.id), FieldDropped(&message.Field{ID: source.id, Name: []byte(name)}, false):
		return Source{}, fmt.Errorf("the field %s does not tell clients apart, or is not believed: name another, or use client_ip", name)
	}
	return source, nil
}

// Value is the first value of the source in a request's head; nil when there is none. It is valid until the head is edited.
func (s *Source) Value(head *message.Head) []byte {
	switch {
	case s.name == "":
		return nil
	case s.cookie:
		return head.Cookie(s.name)
	case s.id != message.Other:
		return head.Get(s.id)
	default:
		return head.Lookup(s.name)
	}
}

// Only is the value of the source where it stands once; nil otherwise, since somebody else may read another one.
func (s *Source) Only(head *message.Head) []byte {
	count := 0
	for _, field := range head.All() {
		switch {
		case !s.cookie && field.Is(s.name):
			count++
		case s.cookie && field.ID == message.Cookie:
			for pair := range bytes.SplitSeq(field.Value, []byte(";")) {
				if name, _, _ := bytes.Cut(pair, []byte("=")); string(bytes.TrimSpace(name)) == s.name {
					count++
				}
			}
		}
	}
	if count != 1 {
		return nil
	}
	return s.Value(head)
}

// IsToken tells whether text is a token (RFC 9110 section 5.6.2).
func IsToken(text string) bool {
	for i := range len(text) {
		c := text[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return text != ""
}
