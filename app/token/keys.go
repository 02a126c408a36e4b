package token

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

const (
	// minSecret is the shortest secret keys are derived from, in bytes.
	minSecret = 32
	// The labels keep the keys that come of one secret apart (RFC 5869, section 3.2). Changing one ends all sessions.
	accessLabel    = "portico access token, ed25519, v1"
	refreshLabel   = "portico refresh token, ed25519, v1"
	successorLabel = "portico refresh token successor, hmac-sha256, v1"
	// kidLength is how many bytes of the public key's hash name it.
	kidLength = 12
)

// key is one Ed25519 key pair, its name, and the one kind of token it signs.
type key struct {
	id      string
	kind    Kind
	private ed25519.PrivateKey
	public  ed25519.PublicKey
}

// Keys holds the keys that sign and those that still verify. Access and refresh tokens have keys of their own, and only those
// of access tokens are published, so that nobody else can take a refresh token for an access token. It never changes; all
// methods may be called concurrently.
type Keys struct {
	all       []key // of each kind the signing one first
	successor []byte
}

// NewKeys derives keys from secret, which signs, and from older secrets, whose tokens still verify. Every process with the
// same secrets has the same keys.
func NewKeys(secret string, older ...string) (*Keys, error) {
	k := &Keys{}
	for i, s := range append([]string{secret}, older...) {
		if len(s) < minSecret {
			which := "the secret"
			if i > 0 {
				which = fmt.Sprintf("older secret %d", i)
			}
			return nil, fmt.Errorf("%s has %d bytes, at least %d are needed", which, len(s), minSecret)
		}
		for kind, label := range map[Kind]string{Access: accessLabel, Refresh: refreshLabel} {
			derived, err := derive(s, kind, label)
			if err != nil {
				return nil, err
			}
			k.all = append(k.all, derived)
		}
	}
	var err error
	if k.successor, err = hkdf.Key(sha256.New, []byte(secret), nil, successorLabel, sha256.Size); err != nil {
		return nil, fmt.Errorf("deriving a key: %w", err)
	}
	return k, nil
}

func derive(secret string, kind Kind, label string) (key, error) {
	seed, err := hkdf.Key(sha256.New, []byte(secret), nil, label, ed25519.SeedSize)
	if err != nil {
		return key{}, fmt.Errorf("deriving a key: %w", err)
	}
	private := ed25519.NewKeyFromSeed(seed)
	public, ok := private.Public().(ed25519.PublicKey)
	if !ok {
		return key{}, errors.New("deriving a key: no Ed25519 public key")
	}
	hash := sha256.Sum256(public)
	return key{id: base64.RawURLEncoding.EncodeToString(hash[:kidLength]), kind: kind, private: private, public: public}, nil
}

// SuccessorID is the id of the one refresh token that may follow the token parent. Whoever rotates the same token, in
// whichever process, comes to the same id; nobody without the secret can foresee it. It is a UUID of version 8 (RFC 9562).
func (k *Keys) SuccessorID(parent uuid.UUID) uuid.UUID {
	mac := hmac.New(sha256.New, k.successor)
	mac.Write(parent[:])
	var id uuid.UUID
	copy(id[:], mac.Sum(nil))
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// JWK is a public key as RFC 8037 writes it.
type JWK struct {
	KeyType   string `json:"kty" doc:"Key type" example:"OKP"`
	Curve     string `json:"crv" doc:"Curve" example:"Ed25519"`
	X         string `json:"x" doc:"The public key, base64url"`
	KeyID     string `json:"kid" doc:"The key's name, as in the header of a token"`
	Use       string `json:"use" example:"sig"`
	Algorithm string `json:"alg" example:"EdDSA"`
}

// JWKS is a set of public keys (RFC 7517, section 5).
type JWKS struct {
	Keys []JWK `json:"keys" nullable:"false"`
}

// of returns the keys for one kind of token, the signing one first.
func (k *Keys) of(kind Kind) []key {
	found := make([]key, 0, len(k.all)/2)
	for _, key := range k.all {
		if key.kind == kind {
			found = append(found, key)
		}
	}
	return found
}

// JWKS publishes the keys with which anybody can verify our access tokens, the signing one first.
func (k *Keys) JWKS() JWKS {
	set := JWKS{Keys: []JWK{}}
	for _, key := range k.of(Access) {
		set.Keys = append(set.Keys, JWK{
			KeyType: "OKP", Curve: "Ed25519", X: base64.RawURLEncoding.EncodeToString(key.public),
			KeyID: key.id, Use: "sig", Algorithm: "EdDSA",
		})
	}
	return set
}
