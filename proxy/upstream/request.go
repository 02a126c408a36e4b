package upstream

import "github.com/portico-web/portico/proxy/message"

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
		key = request.Head.Cookie(h.Cookie)
	}
	if len(key) == 0 {
		return request.Client
	}
	return key
}
