package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/portico-web/portico/internal/fault"
)

// hashing is what new passwords are hashed with: 19 MiB, two passes, one lane, the least that OWASP asks of argon2id. One
// hash takes about 25 ms of one processor.
var hashing = argon2Params{memory: 19 << 10, passes: 2, lanes: 1}

const (
	saltLength = 16
	keyLength  = 32
	// waitersPerSlot bounds how many wait for a slot; beyond it, clients are better told to come back.
	waitersPerSlot = 128
)

// hasher hashes passwords, a bounded number at once, so that a storm of sign-ins takes neither all memory nor for ever. Safe
// for concurrent use.
type hasher struct {
	slots   chan struct{}
	waiting atomic.Int64
	dummy   string // no password's hash, as costly to compare as any
}

func newHasher(concurrency int) *hasher {
	dummy := argon2Hash{params: hashing, salt: make([]byte, saltLength), key: make([]byte, keyLength)}
	_, _ = rand.Read(dummy.salt) // never fails: crypto/rand ends the program rather than return an error
	_, _ = rand.Read(dummy.key)
	return &hasher{slots: make(chan struct{}, concurrency), dummy: dummy.String()}
}

// acquire waits for a slot. A fault of kind Unavailable tells that too many wait already.
func (h *hasher) acquire(ctx context.Context) (release func(), err error) {
	release = func() { <-h.slots }
	select {
	case h.slots <- struct{}{}:
		return release, nil
	default:
	}
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > int64(cap(h.slots)*waitersPerSlot) {
		return nil, &fault.Error{Kind: fault.Unavailable, Message: "Too many sign-ins at once. Try again in a moment.", RetryAfter: 5 * time.Second}
	}
	select {
	case h.slots <- struct{}{}:
		return release, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting to hash a password: %w", ctx.Err())
	}
}

// hash returns the password's hash as a PHC string.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	release, err := h.acquire(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	made := argon2Hash{params: hashing, salt: make([]byte, saltLength)}
	_, _ = rand.Read(made.salt) // see newHasher
	made.key = made.params.derive(password, made.salt, keyLength)
	return made.String(), nil
}

// verify tells whether encoded is the password's hash, and whether it was made with other parameters than new ones are. A
// hash that cannot be read is an error, told after the time that a comparison takes. An empty one belongs to nobody.
func (h *hasher) verify(ctx context.Context, encoded, password string) (matches, outdated bool, err error) {
	stored, parseErr := parseArgon2(encoded)
	if encoded == "" || parseErr != nil {
		var dummyErr error
		if stored, dummyErr = parseArgon2(h.dummy); dummyErr != nil {
			return false, false, dummyErr
		}
	}
	release, err := h.acquire(ctx)
	if err != nil {
		return false, false, err
	}
	defer release()
	key := stored.params.derive(password, stored.salt, len(stored.key))
	if encoded == "" {
		return false, false, nil
	}
	if parseErr != nil {
		return false, false, parseErr
	}
	return subtle.ConstantTimeCompare(key, stored.key) == 1, stored.params != hashing, nil
}

func (p argon2Params) derive(password string, salt []byte, length int) []byte {
	return argon2.IDKey([]byte(password), salt, p.passes, p.memory, p.lanes, uint32(length))
}
