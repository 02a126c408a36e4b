package certs

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

const (
	redisPrefix = "portico:certs:"
	lockPrefix  = redisPrefix + "lock:"
	indexKey    = redisPrefix + "index"
	// lockLife is how long the lock of a process that died holds up the others.
	lockLife = 30 * time.Second
	// lockPoll is how often a held lock is asked for.
	lockPoll = 250 * time.Millisecond
	// MinStorageKey is how long the secret must be, in bytes.
	MinStorageKey = 32
)

// redisStorage keeps certificates in Redis, so that several edges share one account, one set of certificates and the
// challenges in progress. Values are sealed by AES-256-GCM, bound to their key. It implements certmagic.Storage and Locker.
type redisStorage struct {
	client *redis.Client
	seal   cipher.AEAD

	mu    sync.Mutex
	locks map[string]*heldLock
}

type heldLock struct {
	token string
	stop  context.CancelFunc
	done  chan struct{}
}

// OpenRedis opens the storage at a redis:// or rediss:// URL; secret, 32 bytes or more, is what values are encrypted with.
func OpenRedis(ctx context.Context, url, secret string) (Storage, error) {
	if len(secret) < MinStorageKey {
		return nil, fmt.Errorf("the secret that certificates in Redis are encrypted with is shorter than %d bytes", MinStorageKey)
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("tls.storage: not a URL of the form redis://[user:password@]host:port/db")
	}
	options.DisableIdentity = true
	options.DialerRetries = 1
	logging.Disable() // what goes wrong comes back as an error
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "portico certificates", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	client := redis.NewClient(options)
	pinging, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if err := client.Ping(pinging).Err(); err != nil {
		_ = client.Close()
		return nil, fmt.Errorf("tls.storage: redis %s does not answer (%w): start it, or name a folder", options.Addr, err)
	}
	return &redisStorage{client: client, seal: seal, locks: map[string]*heldLock{}}, nil
}

// Close ends the connections.
func (s *redisStorage) Close() error { return s.client.Close() }

// String names the storage in certmagic's logs.
func (s *redisStorage) String() string { return "redis " + s.client.Options().Addr }

// Store implements certmagic.Storage.
func (s *redisStorage) Store(ctx context.Context, key string, value []byte) error {
	nonce := make([]byte, s.seal.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	sealed := s.seal.Seal(nonce, nonce, value, []byte(key))
	_, err := s.client.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		tx.HSet(ctx, redisPrefix+key,
			"value", base64.StdEncoding.EncodeToString(sealed), "size", len(value), "modified", time.Now().UnixMilli())
		tx.SAdd(ctx, indexKey, key)
		return nil
	})
	return err
}

// Load implements certmagic.Storage.
func (s *redisStorage) Load(ctx context.Context, key string) ([]byte, error) {
	text, err := s.client.HGet(ctx, redisPrefix+key, "value").Result()
	if errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	sealed, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(sealed) < s.seal.NonceSize() {
		return nil, fmt.Errorf("%s in %s is damaged", key, s)
	}
	size := s.seal.NonceSize()
	value, err := s.seal.Open(nil, sealed[:size], sealed[size:], []byte(key))
	if err != nil {
		return nil, fmt.Errorf("%s in %s was encrypted with another secret than tls.storage_key_file holds", key, s)
	}
	return value, nil
}

// Delete implements certmagic.Storage: a key, or everything below it.
func (s *redisStorage) Delete(ctx context.Context, key string) error {
	keys, err := s.below(ctx, key)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	_, err = s.client.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		for _, found := range keys {
			tx.Del(ctx, redisPrefix+found)
			tx.SRem(ctx, indexKey, found)
		}
		return nil
	})
	return err
}

// Exists implements certmagic.Storage.
func (s *redisStorage) Exists(ctx context.Context, key string) bool {
	keys, err := s.below(ctx, key)
	return err == nil && len(keys) > 0
}

// below lists the keys that are key or stand below it.
func (s *redisStorage) below(ctx context.Context, key string) ([]string, error) {
	all, err := s.client.SMembers(ctx, indexKey).Result()
	if err != nil {
		return nil, err
	}
	key = strings.Trim(key, "/")
	var keys []string
	for _, candidate := range all {
		if key == "" || candidate == key || strings.HasPrefix(candidate, key+"/") {
			keys = append(keys, candidate)
		}
	}
	return keys, nil
}

// List implements certmagic.Storage.
func (s *redisStorage) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	keys, err := s.below(ctx, path)
	if err != nil {
		return nil, err
	}
	path = strings.Trim(path, "/")
	seen := map[string]bool{}
	var listed []string
	for _, key := range keys {
		rest := strings.TrimPrefix(strings.TrimPrefix(key, path), "/")
		if rest == "" {
			continue
		}
		if !recursive {
			rest, _, _ = strings.Cut(rest, "/")
		}
		entry := strings.Trim(path+"/"+rest, "/")
		if !seen[entry] {
			seen[entry] = true
			listed = append(listed, entry)
		}
	}
	if len(listed) == 0 {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return listed, nil
}

// Stat implements certmagic.Storage.
func (s *redisStorage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	fields, err := s.client.HMGet(ctx, redisPrefix+key, "size", "modified").Result()
	if err != nil {
		return certmagic.KeyInfo{}, err
	}
	size, sized := fields[0].(string)
	modified, dated := fields[1].(string)
	if !sized || !dated {
		if s.Exists(ctx, key) {
			return certmagic.KeyInfo{Key: key}, nil
		}
		return certmagic.KeyInfo{}, fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	length, _ := strconv.ParseInt(size, 10, 64)
	millis, _ := strconv.ParseInt(modified, 10, 64)
	return certmagic.KeyInfo{Key: key, Size: length, Modified: time.UnixMilli(millis), IsTerminal: true}, nil
}
