package upstream

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
)

// Sticky says that a client stays with the target that answered it first, which a cookie names. The zero value says no such
// thing.
type Sticky struct {
	Cookie string // its name
	Key    string // a secret, without which the cookie does not tell the target's address; edges that share it agree
}

// mark is what the cookie says of a target.
func (s Sticky) mark(pool string, at endpoint) string {
	if s.Cookie == "" {
		return ""
	}
	sum := hmac.New(sha256.New, []byte(s.Key))
	_, _ = sum.Write([]byte(pool + "\x00" + at.network + "\x00" + at.address)) // it never fails
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:16])
}

// assigned is the target that the request's cookie names; nil when there is none.
func (p *Pool) assigned(request *Request) *Target {
	mark := request.Head.Cookie(p.settings.Sticky.Cookie)
	if len(mark) == 0 {
		return nil
	}
	for _, target := range p.Targets() {
		if string(mark) == target.mark {
			return target
		}
	}
	return nil
}

// Cookie is the value of Set-Cookie by which the client of a request stays with the target that answers it; "" when none is
// to be set. secure tells whether the client came by TLS.
func (p *Pool) Cookie(request *Request, target *Target, secure bool) string {
	if p.settings.Sticky.Cookie == "" {
		return ""
	}
	if assigned := p.assigned(request); assigned != nil && assigned.serves(nil) && !assigned.avoided() {
		return "" // if another answers, that one was full
	}
	cookie := p.settings.Sticky.Cookie + "=" + target.mark + "; Path=/; HttpOnly; SameSite=Lax"
	if secure {
		cookie += "; Secure"
	}
	return cookie
}
