package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/portico-web/portico/proxy/message"
)

// maxToken bounds a token, in bytes.
const maxToken = 16 << 10

// ErrForbidden says that a token is good, but not enough for this.
var ErrForbidden = errors.New("a claim is not as required")

// TokenRules says which tokens pass.
type TokenRules struct {
	Issuer     string
	Audience   []string            // one of them; nil: any
	Claims     map[string][]string // a claim must be, or hold, one of the values
	Algorithms []string            // of Algorithms
	Skew       time.Duration       // by how much clocks may differ
}

// Verifier verifies tokens (RFC 7519) by an issuer's keys. It is safe for concurrent use.
type Verifier struct {
	keys   *Keys
	rules  TokenRules
	parser *jwt.Parser
}

// NewVerifier makes a verifier. A token must have an end; one without is refused.
func NewVerifier(keys *Keys, rules TokenRules) *Verifier {
	options := []jwt.ParserOption{
		jwt.WithValidMethods(rules.Algorithms), jwt.WithLeeway(rules.Skew), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithIssuer(rules.Issuer), jwt.WithJSONNumber(), jwt.WithStrictDecoding(),
	}
	if len(rules.Audience) > 0 {
		options = append(options, jwt.WithAudience(rules.Audience...))
	}
	return &Verifier{keys: keys, rules: rules, parser: jwt.NewParser(options...)}
}

// Claims are what a verified token says.
type Claims struct{ values jwt.MapClaims }

// Verify tells what a token says. The error wraps ErrNoKeys when nothing can be known of it, and ErrForbidden when it is good
// but lacks a claim; all others mean that it is not good.
func (v *Verifier) Verify(token string) (Claims, error) {
	if len(token) > maxToken {
		return Claims{}, errors.New("the token is too long")
	}
	values := jwt.MapClaims{}
	_, err := v.parser.ParseWithClaims(token, values, func(parsed *jwt.Token) (any, error) {
		if _, critical := parsed.Header["crit"]; critical { // none is understood (RFC 7515 section 4.1.11)
			return nil, errCritical
		}
		id, _ := parsed.Header["kid"].(string)
		found, err := v.keys.find(id, parsed.Method.Alg())
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, errKeyUnknown
		}
		keys := jwt.VerificationKeySet{}
		for _, key := range found {
			keys.Keys = append(keys.Keys, key)
		}
		return keys, nil
	})
	if err != nil {
		return Claims{}, reason(err)
	}
	claims := Claims{values}
	for name, wanted := range v.rules.Claims {
		if !claims.has(name, wanted) {
			return Claims{}, fmt.Errorf("%w: %s", ErrForbidden, name)
		}
	}
	return claims, nil
}

var (
	errCritical   = errors.New("the token has critical headers")
	errKeyUnknown = errors.New("the token's key is not known")
)

// reason tells why a token is not good, in words that are not the token's own.
func reason(err error) error {
	for _, known := range []error{
		ErrNoKeys, errCritical, errKeyUnknown, jwt.ErrTokenExpired, jwt.ErrTokenNotValidYet, jwt.ErrTokenUsedBeforeIssued,
		jwt.ErrTokenInvalidIssuer, jwt.ErrTokenInvalidAudience, jwt.ErrTokenRequiredClaimMissing, jwt.ErrTokenSignatureInvalid,
	} {
		if errors.Is(err, known) {
			return known
		}
	}
	return jwt.ErrTokenMalformed
}

// Subject is whom the token is about; "" when it does not say.
func (c Claims) Subject() string {
	subject, _ := c.values.GetSubject()
	return subject
}

// find is a claim by its name. A name with points leads into claims that are objects, unless a claim has it as it is.
func (c Claims) find(name string) any {
	if value, ok := c.values[name]; ok {
		return value
	}
	var value any = map[string]any(c.values)
	for part := range strings.SplitSeq(name, ".") {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = object[part]
	}
	return value
}

// has tells whether a claim is one of the values, or a list with one of them. A scope is a list with spaces (RFC 8693
// section 4.2).
func (c Claims) has(name string, wanted []string) bool {
	switch value := c.find(name).(type) {
	case []any:
		return slices.ContainsFunc(value, func(member any) bool {
			text, ok := textOf(member)
			return ok && slices.Contains(wanted, text)
		})
	case string:
		if name == "scope" || name == "scp" {
			return slices.ContainsFunc(strings.Fields(value), func(scope string) bool { return slices.Contains(wanted, scope) })
		}
		return slices.Contains(wanted, value)
	default:
		text, ok := textOf(value)
		return ok && slices.Contains(wanted, text)
	}
}

// Text is a claim as the value of a field: a list with commas between its members. It is "" when the token does not have the
// claim, or has one that could be misread there.
func (c Claims) Text(name string) string {
	list, ok := c.find(name).([]any)
	if !ok {
		text, _ := textOf(c.find(name))
		return text
	}
	texts := make([]string, len(list))
	for i, member := range list {
		if texts[i], ok = textOf(member); !ok || strings.Contains(texts[i], ",") {
			return ""
		}
	}
	return strings.Join(texts, ",")
}

func textOf(value any) (text string, ok bool) {
	switch value := value.(type) {
	case string:
		return value, true
	case json.Number:
		return value.String(), true
	case bool:
		return fmt.Sprint(value), true
	default:
		return "", false
	}
}

// BearerToken is the token that a request brings by the Bearer scheme (RFC 6750 section 2.1), once or not at all.
func BearerToken(head *message.Head) (token string, ok bool) {
	text, ok := credentials(head, "Bearer")
	return string(text), ok
}
