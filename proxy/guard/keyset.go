package guard

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// Algorithms are those of signatures that a token may have: all with a public key. A key that verifies is no secret, so that
// with HMAC anybody could sign (RFC 8725 section 3.1).
var Algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

const (
	maxKeys    = 64
	minRSABits = 2048
	// maxCandidates bounds how many keys are tried for a token that names none.
	maxCandidates = 8
)

// KeySet are the public keys of an issuer (RFC 7517). It does not change.
type KeySet struct{ keys []verifyingKey }

type verifyingKey struct {
	id, algorithm string // "": not told
	key           any
}

// ParseKeySet reads a JWK Set. Keys that verify no signature, or a weak one, do not count; a set without others is an error.
func ParseKeySet(content []byte) (*KeySet, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(content, &document); err != nil {
		return nil, errors.New("it is not a JWK Set such as {\"keys\": […]}")
	}
	if len(document.Keys) > maxKeys {
		return nil, errors.New("it has too many keys")
	}
	set := &KeySet{}
	for _, raw := range document.Keys {
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(raw); err != nil || key.Use != "" && key.Use != "sig" || !strong(key.Key) {
			continue // of a kind that is not known yet, or not for this
		}
		set.keys = append(set.keys, verifyingKey{key.KeyID, key.Algorithm, key.Key})
	}
	if len(set.keys) == 0 {
		return nil, errors.New("it has no public key that verifies signatures (RSA of 2048 bits or more, EC or Ed25519)")
	}
	return set, nil
}

func strong(key any) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	default:
		return false
	}
}

// find lists the keys that may have signed a token with this header: of the algorithm's kind, and with the id, if the token
// names one and the key has one.
func (s *KeySet) find(id, algorithm string) (found []any) {
	for _, key := range s.keys {
		if (id == "" || key.id == "" || key.id == id) && (key.algorithm == "" || key.algorithm == algorithm) && fits(key.key, algorithm) {
			found = append(found, key.key)
		}
		if len(found) == maxCandidates {
			break
		}
	}
	return found
}

// fits tells whether a key is of an algorithm's kind, and of its curve (RFC 7518 section 3.4).
func fits(key any, algorithm string) bool {
	if !slices.Contains(Algorithms, algorithm) {
		return false
	}
	switch key := key.(type) {
	case *rsa.PublicKey:
		return algorithm[1] == 'S' && algorithm[0] != 'E'
	case *ecdsa.PublicKey:
		return algorithm == map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[key.Curve.Params().BitSize]
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	default:
		return false
	}
}
