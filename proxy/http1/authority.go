package http1

import "github.com/portico-web/portico/proxy/message"

// keepAuthority is text as a valid authority, or "". The last one of the connection is kept: clients seldom ask for another.
func (r *Reader) keepAuthority(text []byte) string {
	if string(text) != r.authority || len(text) == 0 {
		if !message.ValidAuthority(string(text)) {
			return ""
		}
		r.authority = string(text)
	}
	return r.authority
}
