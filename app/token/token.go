// Package token makes and checks the signed tokens that say who a client is, publishes the keys that check them, and carries
// the identity found in one through a request's context.
package token

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// Kind is what a token is good for; it stands in the claim token_type.
type Kind string

const (
	Access  Kind = "access"
	Refresh Kind = "refresh"
)

const (
	// maxLength bounds what is parsed at all, in bytes; ours are under 500.
	maxLength = 4096
	// leeway is how far the clocks of hosts that share a secret may differ.
	leeway = 3 * time.Second
)

// Why a token is refused. Verify's errors wrap one of these.
var (
	ErrInvalid   = errors.New("token is invalid")
	ErrExpired   = errors.New("token is expired")
	ErrWrongKind = errors.New("token has wrong type")
)

// Claims is what a token says. Times have the precision of a second. Family is set in refresh tokens alone.
type Claims struct {
	Kind    Kind
	ID      uuid.UUID
	UserID  uuid.UUID
	Family  uuid.UUID
	Issued  time.Time
	Expires time.Time
}

// wireClaims are the claims under the names that clients of Django's simplejwt know.
type wireClaims struct {
	TokenType Kind             `json:"token_type"`
	ExpiresAt *jwt.NumericDate `json:"exp"`
	IssuedAt  *jwt.NumericDate `json:"iat"`
	ID        string           `json:"jti"`
	UserID    string           `json:"user_id"`
	Family    string           `json:"family,omitempty"`
}

func (c *wireClaims) GetExpirationTime() (*jwt.NumericDate, error) { return c.ExpiresAt, nil }
func (c *wireClaims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.IssuedAt, nil }
func (c *wireClaims) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (c *wireClaims) GetIssuer() (string, error)                   { return "", nil }
func (c *wireClaims) GetSubject() (string, error)                  { return c.UserID, nil }
func (c *wireClaims) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }

// Sign makes a token with the newest key. The same claims and key give the same bytes (RFC 8032: Ed25519 is deterministic).
func (k *Keys) Sign(c Claims) (string, error) {
	for _, key := range k.all {
		if key.kind == c.Kind {
			return key.sign(c)
		}
	}
	return "", fmt.Errorf("signing a token: unknown kind %q", c.Kind)
}

func (k key) sign(c Claims) (string, error) {
	claims := &wireClaims{
		TokenType: c.Kind, ID: c.ID.String(), UserID: c.UserID.String(),
		IssuedAt: jwt.NewNumericDate(c.Issued), ExpiresAt: jwt.NewNumericDate(c.Expires),
	}
	if c.Family != uuid.Nil {
		claims.Family = c.Family.String()
	}
	unsigned := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	unsigned.Header["kid"] = k.id
	signed, err := unsigned.SignedString(k.private)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return signed, nil
}

// SignAll makes the token once with each key, the newest first. It finds the bytes of a token that may have been signed
// before the secret was changed.
func (k *Keys) SignAll(c Claims) ([]string, error) {
	signed := make([]string, 0, len(k.all))
	for _, key := range k.of(c.Kind) {
		one, err := key.sign(c)
		if err != nil {
			return nil, err
		}
		signed = append(signed, one)
	}
	return signed, nil
}

// Verify returns the claims of a token of the kinds given that one of the keys signed and that is not over at now. Only EdDSA
// is accepted, and only a key id of ours (RFC 8725, section 3.1).
func (k *Keys) Verify(raw string, now time.Time, kinds ...Kind) (Claims, error) {
	claims, err := k.parse(raw, jwt.WithTimeFunc(func() time.Time { return now }))
	if err != nil {
		return Claims{}, err
	}
	for _, kind := range kinds {
		if claims.Kind == kind {
			return claims, nil
		}
	}
	return Claims{}, fmt.Errorf("%w: %q", ErrWrongKind, claims.Kind)
}

// VerifyPast is Verify for a token that may be over, such as the one with which somebody signs out.
func (k *Keys) VerifyPast(raw string, kind Kind) (Claims, error) {
	claims, err := k.parse(raw, jwt.WithoutClaimsValidation())
	if err == nil && claims.Kind != kind {
		err = fmt.Errorf("%w: %q", ErrWrongKind, claims.Kind)
	}
	return claims, err
}

func (k *Keys) parse(raw string, validation jwt.ParserOption) (Claims, error) {
	if len(raw) > maxLength {
		return Claims{}, fmt.Errorf("%w: longer than %d bytes", ErrInvalid, maxLength)
	}
	// The decoder would skip line ends, and one token must have one spelling.
	if strings.ContainsAny(raw, "\r\n") {
		return Claims{}, fmt.Errorf("%w: line ends", ErrInvalid)
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithStrictDecoding(),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway), validation)
	var wire wireClaims
	parsed, err := parser.ParseWithClaims(raw, &wire, k.find)
	switch {
	case errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return Claims{}, fmt.Errorf("%w: %w", ErrExpired, err)
	case err != nil:
		return Claims{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	case !parsed.Valid || wire.ExpiresAt == nil || wire.IssuedAt == nil:
		return Claims{}, fmt.Errorf("%w: incomplete", ErrInvalid)
	}
	if key, ok := k.keyOf(parsed.Header); !ok || key.kind != wire.TokenType {
		return Claims{}, fmt.Errorf("%w: signed with a key for other tokens", ErrInvalid)
	}
	claims := Claims{Kind: wire.TokenType, Issued: wire.IssuedAt.Time, Expires: wire.ExpiresAt.Time}
	if claims.ID, err = uuid.Parse(wire.ID); err != nil {
		return Claims{}, fmt.Errorf("%w: jti: %w", ErrInvalid, err)
	}
	if claims.UserID, err = uuid.Parse(wire.UserID); err != nil {
		return Claims{}, fmt.Errorf("%w: user_id: %w", ErrInvalid, err)
	}
	if wire.Family != "" {
		if claims.Family, err = uuid.Parse(wire.Family); err != nil {
			return Claims{}, fmt.Errorf("%w: family: %w", ErrInvalid, err)
		}
	}
	return claims, nil
}

// keyOf is the key that a header's kid names.
func (k *Keys) keyOf(header map[string]any) (key, bool) {
	id, _ := header["kid"].(string)
	for _, key := range k.all {
		if key.id == id {
			return key, true
		}
	}
	return key{}, false
}

// find chooses the key by the token's kid. A critical header that we do not know is refused (RFC 7515, section 4.1.11).
func (k *Keys) find(unverified *jwt.Token) (any, error) {
	if _, critical := unverified.Header["crit"]; critical {
		return nil, errors.New("unknown critical header")
	}
	key, ok := k.keyOf(unverified.Header)
	if !ok {
		return nil, errors.New("unknown key")
	}
	return key.public, nil
}
