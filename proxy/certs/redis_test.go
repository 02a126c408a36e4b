package certs_test

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/proxy/certs"
)

const secret = "0123456789abcdef0123456789abcdef"

func openRedis(t *testing.T, url, secret string) certs.Storage {
	t.Helper()
	storage, err := certs.OpenRedis(t.Context(), url, secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = storage.Close() })
	return storage
}

func TestRedisStorageKeepsWhatCertmagicExpects(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := openRedis(t, dbtest.Redis(t), secret)
	for _, key := range []string{"acme/a/a.crt", "acme/a/a.key", "acme/b/b.crt", "acmex"} {
		if err := s.Store(ctx, key, []byte("value of "+key)); err != nil {
			t.Fatal(err)
		}
	}
	if value, err := s.Load(ctx, "acme/a/a.key"); err != nil || string(value) != "value of acme/a/a.key" {
		t.Errorf("%q, %v", value, err)
	}
	if err := s.Store(ctx, "acmex", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if value, err := s.Load(ctx, "acmex"); err != nil || string(value) != "new" {
		t.Errorf("after a second Store: %q, %v", value, err)
	}
	for path, want := range map[string][2][]string{
		"acme":   {{"acme/a", "acme/b"}, {"acme/a/a.crt", "acme/a/a.key", "acme/b/b.crt"}},
		"acme/a": {{"acme/a/a.crt", "acme/a/a.key"}, {"acme/a/a.crt", "acme/a/a.key"}},
		"":       {{"acme", "acmex"}, {"acme/a/a.crt", "acme/a/a.key", "acme/b/b.crt", "acmex"}},
	} {
		for i, recursive := range []bool{false, true} {
			got, err := s.List(ctx, path, recursive)
			slices.Sort(got)
			if diff := cmp.Diff(want[i], got); err != nil || diff != "" {
				t.Errorf("%q, recursive %v: %v %s", path, recursive, err, diff)
			}
		}
	}
	if info, err := s.Stat(ctx, "acme/a/a.crt"); err != nil || info.Size != 21 || !info.IsTerminal || info.Modified.IsZero() {
		t.Errorf("%+v, %v", info, err)
	}
	if info, err := s.Stat(ctx, "acme/a"); err != nil || info.IsTerminal {
		t.Errorf("%+v, %v", info, err)
	}
	if !s.Exists(ctx, "acme") || !s.Exists(ctx, "acme/b/b.crt") || s.Exists(ctx, "acm") {
		t.Error("Exists")
	}
	if err := s.Delete(ctx, "acme/a"); err != nil || s.Exists(ctx, "acme/a/a.crt") || !s.Exists(ctx, "acme/b/b.crt") || !s.Exists(ctx, "acmex") {
		t.Errorf("Delete: %v", err)
	}
	for what, err := range map[string]error{
		"Delete": s.Delete(ctx, "gone"),
		"Load":   second(s.Load(ctx, "gone")),
		"Stat":   second(s.Stat(ctx, "gone")),
		"List":   second(s.List(ctx, "gone", true)),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s of nothing: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestRedisHoldsNoReadableKey(t *testing.T) {
	t.Parallel()
	url := dbtest.Redis(t)
	s := openRedis(t, url, secret)
	for _, key := range []string{"k", "other"} {
		if err := s.Store(t.Context(), key, []byte("PRIVATE KEY of "+key)); err != nil {
			t.Fatal(err)
		}
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	dumped, err := client.HGet(t.Context(), "portico:certs:k", "value").Result()
	if err != nil || strings.Contains(dumped, "PRIVATE") {
		t.Errorf("%q, %v", dumped, err)
	}
	if _, err := openRedis(t, url, strings.Repeat("x", 32)).Load(t.Context(), "k"); err == nil || !strings.Contains(err.Error(), "another secret than tls.storage_key_file") {
		t.Errorf("with another secret: %v", err)
	}
	// A value moved to another key is not taken for that key's.
	if err := client.HSet(t.Context(), "portico:certs:other", "value", dumped).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context(), "other"); err == nil {
		t.Error("a value may be moved")
	}
	if _, err := certs.OpenRedis(t.Context(), url, "short"); err == nil {
		t.Error("a short secret is taken")
	}
}

func TestALockIsHeldByOneAndFreedByItsHolderAlone(t *testing.T) {
	t.Parallel()
	url := dbtest.Redis(t)
	first, other := openRedis(t, url, secret), openRedis(t, url, secret)
	if err := first.Lock(t.Context(), "name"); err != nil {
		t.Fatal(err)
	}
	waiting, giveUp := context.WithCancel(t.Context())
	giveUp()
	if err := other.Lock(waiting, "name"); !errors.Is(err, context.Canceled) {
		t.Errorf("a held lock: %v", err)
	}
	if err := other.Unlock(t.Context(), "name"); err == nil {
		t.Error("a lock is freed by someone else")
	}
	got := make(chan error, 1)
	go func() { got <- other.Lock(t.Context(), "name") }()
	if err := first.Unlock(t.Context(), "name"); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if err := first.Unlock(t.Context(), "name"); err == nil {
		t.Error("a lock is freed twice")
	}
	if err := other.Unlock(t.Context(), "name"); err != nil {
		t.Error(err)
	}
}

func TestAHeldLockEndsUnlessItIsRenewed(t *testing.T) {
	t.Parallel()
	url := dbtest.Redis(t)
	s := openRedis(t, url, secret)
	if err := s.Lock(t.Context(), "name"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Unlock(context.WithoutCancel(t.Context()), "name") }()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	const key = "portico:certs:lock:name"
	life, err := client.PTTL(t.Context(), key).Result()
	if err != nil || life <= 0 || life > 30*time.Second {
		t.Fatalf("a lock lives %s, %v", life, err)
	}
	// Within a third of its life it is as long again.
	const shortened = 20 * time.Second
	if err := client.PExpire(t.Context(), key, shortened).Err(); err != nil {
		t.Fatal(err)
	}
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.After(40 * time.Second); ; {
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatal("the lock is not renewed")
		}
		if life, err = client.PTTL(t.Context(), key).Result(); err != nil {
			t.Fatal(err)
		}
		if life > shortened {
			return
		}
	}
}
