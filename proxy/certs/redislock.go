package certs

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Both scripts act only on a lock that still is the caller's: its life may have ended and somebody else begun one.
var (
	unlockScript = redis.NewScript(`if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0`)
	renewScript  = redis.NewScript(`if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("PEXPIRE", KEYS[1], ARGV[2]) end return 0`)
)

// Lock implements certmagic.Locker: it waits until no process holds name, then holds it until Unlock, renewing it meanwhile.
func (s *redisStorage) Lock(ctx context.Context, name string) error {
	for {
		locked, err := s.TryLock(ctx, name)
		if err != nil || locked {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

// TryLock implements certmagic.TryLocker.
func (s *redisStorage) TryLock(ctx context.Context, name string) (bool, error) {
	token := rand.Text()
	err := s.client.SetArgs(ctx, lockPrefix+name, token, redis.SetArgs{Mode: "NX", TTL: lockLife}).Err()
	if err == redis.Nil { //nolint:errorlint // the client returns the sentinel itself
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("locking %s: %w", name, err)
	}
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	held := &heldLock{token: token, stop: stop, done: make(chan struct{})}
	s.mu.Lock()
	s.locks[name] = held
	s.mu.Unlock()
	go s.renew(renewing, name, held)
	return true, nil
}

func (s *redisStorage) renew(ctx context.Context, name string, held *heldLock) {
	defer close(held.done)
	ticker := time.NewTicker(lockLife / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = renewScript.Run(ctx, s.client, []string{lockPrefix + name}, held.token, lockLife.Milliseconds()).Err()
		}
	}
}

// Unlock implements certmagic.Locker.
func (s *redisStorage) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	held := s.locks[name]
	delete(s.locks, name)
	s.mu.Unlock()
	if held == nil {
		return fmt.Errorf("%s is not locked by this process", name)
	}
	held.stop()
	<-held.done
	return unlockScript.Run(context.WithoutCancel(ctx), s.client, []string{lockPrefix + name}, held.token).Err()
}
