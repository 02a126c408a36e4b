package upstream

import (
	"bytes"

	"github.com/portico-web/portico/proxy/message"
)

// Request is what of a request decides which target takes it.
type Request struct {
	Head   *message.Head
	Client []byte // the client's address

	trial  bool // the breaker wants to know how it ends
	noted  bool // a target dealt with it, which the breaker has not counted yet
	failed bool // the last of them failed it
}

// HashBy is what of a request Hash looks at: a field, a cookie, or, as the zero value and for requests without them, the
// client's address.
type HashBy struct {
	Header string
	Cookie string
}

func (h *HashBy) key(request *Request) (key []byte) {
	switch {
	case h.Header != "":
		key = request.Head.Lookup(h.Header)
	case h.Cookie != "":
		key = Cookie(request.Head, h.Cookie)
	}
	if len(key) == 0 {
		return request.Client
	}
	return key
}

// Cookie is the value of the first cookie of this name, or nil (RFC 6265 section 4.2.1).
func Cookie(head *message.Head, name string) []byte {
	fields := head.All()
	for i := range fields {
		if fields[i].ID != message.Cookie {
			continue
		}
		for pair := range bytes.SplitSeq(fields[i].Value, []byte(";")) {
			found, value, ok := bytes.Cut(bytes.TrimSpace(pair), []byte("="))
			if ok && string(found) == name {
				return value
			}
		}
	}
	return nil
}
