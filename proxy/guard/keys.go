package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	refreshEvery = 5 * time.Minute
	retryEvery   = 10 * time.Second // while the keys cannot be had
	fetchTimeout = 5 * time.Second
	maxKeySet    = 1 << 20 // bytes
	// renewEvery is how often a token whose key is not known makes the keys be fetched at once, and renewWait how long it
	// waits for them.
	renewEvery = 30 * time.Second
	renewWait  = 2 * time.Second
)

// ErrNoKeys says that an issuer's keys were never to be had, so that nothing is known of a token.
var ErrNoKeys = errors.New("the keys of the tokens' issuer are not known yet")

// Keys are the keys of an issuer, which change from time to time. While they cannot be fetched, the old ones serve on. It is
// safe for concurrent use.
type Keys struct {
	url     string // "": they do not change
	client  *http.Client
	log     *slog.Logger
	current atomic.Pointer[KeySet]
	wanted  chan struct{} // somebody waits for a round
	stop    context.CancelFunc
	task    sync.WaitGroup

	mu      sync.Mutex
	round   chan struct{} // closed when the next fetch is over
	tried   bool          // one was over
	renewed time.Time     // when a token made them be fetched
}

// StaticKeys are keys that do not change.
func StaticKeys(set *KeySet) *Keys {
	k := &Keys{stop: func() {}}
	k.current.Store(set)
	return k
}

// FetchKeys begins to fetch the keys at a URL, now and every five minutes, until Close.
func FetchKeys(url string, log *slog.Logger) *Keys {
	ctx, stop := context.WithCancel(context.Background())
	k := &Keys{
		url: url, log: log, stop: stop, wanted: make(chan struct{}, 1), round: make(chan struct{}),
		client: &http.Client{
			Timeout:   fetchTimeout,
			Transport: &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment},
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse
			},
		},
	}
	k.task.Go(func() { k.refresh(ctx) })
	return k
}

// Close ends the fetching, and waits for that.
func (k *Keys) Close() {
	k.stop()
	k.task.Wait()
}

func (k *Keys) refresh(ctx context.Context) {
	failing := false
	for {
		wait := refreshEvery
		set, err := k.fetch(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			wait = retryEvery
			if !failing {
				k.log.Warn("keys of tokens cannot be fetched: the old ones serve on", "jwks", k.url, "error", err)
			}
		default:
			k.current.Store(set)
			if failing {
				k.log.Info("keys of tokens are fetched again", "jwks", k.url)
			}
		}
		failing = err != nil
		k.mu.Lock()
		close(k.round)
		k.round, k.tried = make(chan struct{}), true
		k.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-k.wanted:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

func (k *Keys) fetch(ctx context.Context) (*KeySet, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := k.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %d", k.url, response.StatusCode)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxKeySet+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxKeySet {
		return nil, fmt.Errorf("%s is larger than 1 MiB", k.url)
	}
	return ParseKeySet(content)
}

// find lists the keys that may have signed a token. When none of them may, the issuer may have a new one: then, but not
// often, they are fetched at once.
func (k *Keys) find(id, algorithm string) ([]any, error) {
	set := k.current.Load()
	if set != nil {
		if found := set.find(id, algorithm); len(found) > 0 || k.url == "" {
			return found, nil
		}
	}
	k.await(set == nil)
	if set = k.current.Load(); set == nil {
		return nil, ErrNoKeys
	}
	return set.find(id, algorithm), nil
}

// await waits a while for the next fetch, if there is one to wait for: the first, or one that it asks for.
func (k *Keys) await(first bool) {
	k.mu.Lock()
	round := k.round
	if first && k.tried || !first && time.Since(k.renewed) < renewEvery {
		k.mu.Unlock()
		return
	}
	if !first {
		k.renewed = time.Now()
		select {
		case k.wanted <- struct{}{}:
		default:
		}
	}
	k.mu.Unlock()
	timer := time.NewTimer(renewWait)
	defer timer.Stop()
	select {
	case <-round:
	case <-timer.C:
	}
}
