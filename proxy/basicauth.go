package proxy

import (
	"net/http"

	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/guard"
	"github.com/portico-web/portico/proxy/message"
)

// basicAuth is a route's basic_auth made ready.
type basicAuth struct {
	*config.BasicAuth
	challenge message.Field
}

func newBasicAuth(site *config.Site, configured *config.BasicAuth) *basicAuth {
	realm := configured.Realm
	if realm == "" {
		realm = site.Hosts[0]
	}
	return &basicAuth{configured, message.Field{
		Name: []byte("WWW-Authenticate"), Value: []byte(`Basic realm="` + realm + `", charset="UTF-8"`),
	}}
}

// authenticate is the policy: it takes the name and the password out of the request, unless the upstream is to have them.
func (b *basicAuth) authenticate(x *exchange) bool {
	head := x.Head()
	if head.Get(message.Authorization) == nil {
		x.refused(policyBasicAuth, "no credentials")
		x.failWith(&b.challenge, http.StatusUnauthorized, "Authentication credentials were not provided.")
		return false
	}
	name, password, readable := guard.BasicCredentials(head)
	if !readable {
		x.refused(policyBasicAuth, "unreadable credentials")
		x.failWith(&b.challenge, http.StatusUnauthorized, "Unable to log in with provided credentials.")
		return false
	}
	verdict, wait := x.proxy.passwords.Check(b.Users(), x.client, name, password)
	switch verdict {
	case guard.Right:
	case guard.TooMany:
		x.refused(policyBasicAuth, "wrong credentials too often")
		x.refuseFor(wait)
		return false
	case guard.Busy:
		x.refused(policyBasicAuth, "too many passwords at once")
		x.failUnavailable(inAMoment)
		return false
	default:
		x.refused(policyBasicAuth, "wrong credentials")
		x.failWith(&b.challenge, http.StatusUnauthorized, "Unable to log in with provided credentials.")
		return false
	}
	x.user = name
	if b.Tell != "" {
		x.tell(b.Tell, name)
	}
	if !b.PassCredentials {
		head.Del(message.Authorization)
	}
	return true
}
