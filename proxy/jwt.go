package proxy

import (
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/guard"
	"github.com/portico-web/portico/proxy/message"
)

// bearer is a route's jwt made ready: who has a token of the issuer passes.
type bearer struct {
	verifier *guard.Verifier
	source   guard.Source    // none: Authorization
	tell     []identityField // a claim's name, and the field by which upstreams learn it
	realm    string
}

func newBearer(site *config.Site, configured *config.JWT, keys *guard.Keys) *bearer {
	claims := map[string][]string{}
	for name, values := range configured.Claims {
		claims[name] = values
	}
	b := &bearer{
		verifier: guard.NewVerifier(keys, guard.TokenRules{
			Issuer: configured.Issuer, Audience: configured.Audience, Claims: claims, Algorithms: configured.Algorithms, Skew: configured.ClockSkew,
		}),
		realm: `Bearer realm="` + site.Hosts[0] + `"`,
	}
	if configured.From != "" && !message.EqualFold(configured.From, "header:Authorization") {
		b.source, _ = guard.ParseSource(configured.From) // checked
	}
	for _, claim := range slices.Sorted(maps.Keys(configured.Tell)) {
		b.tell = append(b.tell, identityField{claim, configured.Tell[claim]})
	}
	return b
}

// authenticate is the policy.
func (b *bearer) authenticate(x *exchange) bool {
	token := b.token(x.Head())
	if token == "" {
		x.refused(policyJWT, "no token")
		x.failWith(b.challenge(""), http.StatusUnauthorized, "Authentication credentials were not provided.")
		return false
	}
	claims, err := b.verifier.Verify(token)
	switch {
	case err == nil:
	case errors.Is(err, guard.ErrNoKeys):
		x.refused(policyJWT, err.Error())
		x.failUnavailable(inAMoment)
		return false
	case errors.Is(err, guard.ErrForbidden):
		x.refused(policyJWT, err.Error())
		x.failWith(b.challenge("insufficient_scope"), http.StatusForbidden, "You do not have permission to perform this action.")
		return false
	default:
		x.refused(policyJWT, err.Error())
		x.failWith(b.challenge("invalid_token"), http.StatusUnauthorized, "Given token not valid for any token type")
		return false
	}
	x.user = claims.Subject()
	for _, claim := range b.tell {
		x.tell(claim.value, claims.Text(claim.name))
	}
	return true
}

func (b *bearer) token(head *message.Head) string {
	if b.source == (guard.Source{}) {
		token, _ := guard.BearerToken(head)
		return token
	}
	return string(b.source.Only(head))
}

// challenge is the WWW-Authenticate field (RFC 6750 section 3).
func (b *bearer) challenge(failure string) *message.Field {
	value := b.realm
	if failure != "" {
		value += `, error="` + failure + `"`
	}
	return &message.Field{Name: []byte("WWW-Authenticate"), Value: []byte(value)}
}

// openKeys begins to fetch the keys of every issuer that the configuration names by URL.
func (s *state) openKeys(p *Proxy, previous *state) {
	s.keys = map[string]*guard.Keys{}
	open := func(configured *config.JWT) {
		if configured == nil || configured.KeysURL() == "" || s.keys[configured.JWKS] != nil {
			return
		}
		if previous != nil && previous.keys[configured.JWKS] != nil {
			s.keys[configured.JWKS] = previous.keys[configured.JWKS]
			return
		}
		s.keys[configured.JWKS] = guard.FetchKeys(configured.JWKS, p.log)
	}
	for i := range s.config.Sites {
		open(s.config.Sites[i].JWT)
		for j := range s.config.Sites[i].Routes {
			open(s.config.Sites[i].Routes[j].JWT)
		}
	}
}

// keysOf are the keys that verify tokens.
func (s *state) keysOf(configured *config.JWT) *guard.Keys {
	if configured.Keys() != nil {
		return guard.StaticKeys(configured.Keys())
	}
	return s.keys[configured.JWKS]
}
