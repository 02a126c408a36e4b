package certs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/portico-web/portico/internal/ratelimit"
)

// OnDemand says who decides about names that are not configured.
type OnDemand struct {
	Ask        string          // URL that is asked with ?domain=NAME; exactly status 200 permits
	Timeout    time.Duration   // of one question
	Rate       ratelimit.Limit // of questions
	AllowedFor time.Duration   // how long a permission is remembered
	RefusedFor time.Duration   // how long a refusal is, and a failure
}

// errRefused: the answer was no, as distinct from none.
var errRefused = errors.New("tls.on_demand.ask refuses this name")

// mostAnswers bounds the answers in mind.
const mostAnswers = 10_000

// asker asks about names and remembers the answers. It is safe for concurrent use.
type asker struct {
	client  *http.Client
	limiter *ratelimit.Local

	mu       sync.Mutex
	settings *OnDemand // nil: nobody is asked, and nothing is permitted
	answers  answers   // of the URL in settings
}

// answers are those of one URL, by name.
type answers map[string]answer

// answer is nil for a permission.
type answer struct {
	err   error
	until time.Time
}

func newAsker() *asker {
	return &asker{
		client: &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // not 200
		},
		limiter: ratelimit.NewLocal(1, time.Now),
		answers: answers{},
	}
}

// set takes over new settings. Answers of another URL are forgotten, those still on their way, too.
func (a *asker) set(settings *OnDemand) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.settings == nil || settings == nil || a.settings.Ask != settings.Ask {
		a.answers = answers{}
	}
	a.settings = settings
}

func (a *asker) close() { a.client.CloseIdleConnections() }

// ask returns nil when name is permitted, errRefused when it is not, and another error when nobody could tell.
func (a *asker) ask(ctx context.Context, name string) error {
	a.mu.Lock()
	settings, answers := a.settings, a.answers
	known, remembered := answers[name]
	a.mu.Unlock()
	switch {
	case settings == nil:
		return errRefused
	case remembered && time.Now().Before(known.until):
		return known.err
	case !a.limiter.Allow(ctx, "ask", settings.Rate).Allowed:
		return errors.New("more names than tls.on_demand.rate permits were asked for")
	}
	err := a.question(ctx, settings, name)
	lasts := settings.RefusedFor
	if err == nil {
		lasts = settings.AllowedFor
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	answers.add(name, answer{err, time.Now().Add(lasts)})
	return err
}

func (a *asker) question(ctx context.Context, settings *OnDemand, name string) error {
	ctx, cancel := context.WithTimeout(ctx, settings.Timeout)
	defer cancel()
	address, err := url.Parse(settings.Ask)
	if err != nil {
		return err
	}
	query := address.Query()
	query.Set("domain", name)
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), http.NoBody)
	if err != nil {
		return err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return fmt.Errorf("tls.on_demand.ask does not answer: %w", errors.Unwrap(err))
	}
	_, _ = io.CopyN(io.Discard, response.Body, 4<<10) // a short rest lets the connection be used again
	_ = response.Body.Close()
	switch {
	case response.StatusCode == http.StatusOK:
		return nil
	case response.StatusCode >= http.StatusInternalServerError:
		return fmt.Errorf("tls.on_demand.ask answers %d", response.StatusCode)
	default:
		return errRefused
	}
}

// remember answers for whoever is to be asked now.
func (a *asker) remember(name string, given answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers.add(name, given)
}

// add makes room first among what is over, then anywhere.
func (a answers) add(name string, given answer) {
	if len(a) >= mostAnswers {
		now := time.Now()
		for old, answer := range a {
			if now.After(answer.until) {
				delete(a, old)
			}
		}
		for old := range a {
			if len(a) < mostAnswers {
				break
			}
			delete(a, old)
		}
	}
	a[name] = given
}
