package dbtest_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/portico-web/portico/internal/dbtest"
)

func TestRedisIsAServerOfItsOwnThatCanBeKilledAndStarted(t *testing.T) {
	t.Parallel()
	server := dbtest.NewRedis(t)
	options, err := redis.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	options.MaxRetries = -1
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	if err := client.Set(t.Context(), "key", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Fatal("a killed server answers")
	}
	server.Start()
	if _, err := client.Get(t.Context(), "key").Result(); err == nil {
		t.Fatal("a server started anew is not empty")
	}
	if size, err := client.DBSize(t.Context()).Result(); err != nil || size != 0 {
		t.Fatalf("size %d, %v", size, err)
	}
}
