package guard

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portico-web/portico/internal/ratelimit"
)

const (
	// trustFor is how long a verified password is believed without hashing it again.
	trustFor = 5 * time.Minute
	// maxTrusted bounds how many of them are kept in mind.
	maxTrusted = 10_000
	// maxWaiting bounds how many requests wait for their turn to hash, and patience how long each does.
	maxWaiting = 64
	patience   = 5 * time.Second
	// maxGuessers bounds how many clients that were wrong are kept in mind.
	maxGuessers = 50_000
)

// guesses is how often a client may be wrong.
var guesses = ratelimit.Limit{Events: 10, Period: time.Minute, Burst: 10}

// Verdict is what is found of a name and a password.
type Verdict uint8

// The verdicts.
const (
	Wrong   Verdict = iota
	Right           // they belong together
	TooMany         // the client was wrong too often; nothing was looked at
	Busy            // too many passwords are being looked at; nothing was found out
)

// Passwords verifies passwords. Hashing is slow on purpose, so that it happens for few at once, and for a client that is often
// wrong no more; what was right is known again, by a keyed hash, for five minutes. It is safe for concurrent use.
type Passwords struct {
	secret   [32]byte
	turns    chan struct{} // as many as may be hashed at once
	waiting  atomic.Int64
	failures *ratelimit.Local

	mu      sync.Mutex
	trusted map[[sha256.Size]byte]time.Time // until when
}

// NewPasswords makes a verifier that leaves half of the processors to others.
func NewPasswords() *Passwords {
	p := &Passwords{
		turns:    make(chan struct{}, max(runtime.GOMAXPROCS(0)/2, 1)),
		failures: ratelimit.NewLocal(maxGuessers, time.Now),
		trusted:  map[[sha256.Size]byte]time.Time{},
	}
	_, _ = rand.Read(p.secret[:]) // it never fails
	return p
}

// Check tells whether a client gives the password of a user; wait is how long one that guessed too often has to wait. An
// unknown user takes as long as a known one.
func (p *Passwords) Check(users *Users, client netip.Addr, name string, password []byte) (verdict Verdict, wait time.Duration) {
	hash, known := users.hashes[name], true
	if hash == nil {
		hash, known = users.all[p.decoy(name)%uint64(len(users.all))], false
	}
	id := p.mac(hash.text, name, string(password))
	if known && p.trusts(id) {
		return Right, 0
	}
	guesser := ratelimit.ClientKey(client)
	if wait := p.exhausted(guesser); wait > 0 {
		return TooMany, wait
	}
	if !p.turn() {
		return Busy, 0
	}
	defer func() { <-p.turns }()
	// Whoever waited may have been wrong meanwhile, or right.
	if wait := p.exhausted(guesser); wait > 0 {
		return TooMany, wait
	}
	if known && p.trusts(id) {
		return Right, 0
	}
	if right := hash.verify(password); right && known {
		p.trust(id)
		return Right, 0
	}
	p.failures.Allow(context.Background(), guesser, guesses)
	return Wrong, 0
}

// exhausted is how long a client has to wait that was wrong too often; 0 for others.
func (p *Passwords) exhausted(guesser string) time.Duration {
	if left := p.failures.Peek(context.Background(), guesser, guesses); !left.Allowed {
		return left.RetryAfter
	}
	return 0
}

// turn waits for a turn to hash. It does not when too many do.
func (p *Passwords) turn() bool {
	select {
	case p.turns <- struct{}{}:
		return true
	default:
	}
	if p.waiting.Add(1) > maxWaiting {
		p.waiting.Add(-1)
		return false
	}
	defer p.waiting.Add(-1)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case p.turns <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
}

// decoy chooses the hash that an unknown name is compared with, always the same one for a name, as if it were known.
func (p *Passwords) decoy(name string) uint64 {
	mac := p.mac(name)
	return binary.BigEndian.Uint64(mac[:8])
}

// mac is a keyed hash of texts. The hash of the password is among them where it matters, so that a changed one is not known.
func (p *Passwords) mac(texts ...string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, p.secret[:])
	for _, text := range texts {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(text)))
		mac.Write(length[:])
		mac.Write([]byte(text))
	}
	mac.Sum(sum[:0])
	return sum
}

func (p *Passwords) trusts(id [sha256.Size]byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	until, ok := p.trusted[id]
	return ok && time.Now().Before(until)
}

func (p *Passwords) trust(id [sha256.Size]byte) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.trusted) >= maxTrusted {
		for other, until := range p.trusted {
			if !now.Before(until) {
				delete(p.trusted, other)
			}
		}
	}
	for other := range p.trusted { // any, when all are still good
		if len(p.trusted) < maxTrusted {
			break
		}
		delete(p.trusted, other)
	}
	p.trusted[id] = now.Add(trustFor)
}
