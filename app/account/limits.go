package account

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"strconv"
	"time"

	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/lang"
	"github.com/portico-web/portico/internal/ratelimit"
)

// Limiter counts events; *ratelimit.Local and *ratelimit.Shared do.
type Limiter interface {
	ratelimit.Limiter
	// Peek tells whether an event would be allowed, without counting it.
	Peek(ctx context.Context, key string, limit ratelimit.Limit) ratelimit.Result
}

// Limits is how often people may try. All but the last are counted by the client's address. A zero Login or Signup is no limit.
type Limits struct {
	Limiter       Limiter
	Login         ratelimit.Limit // sign-ins tried
	Signup        ratelimit.Limit // registrations tried
	FailedAddress ratelimit.Limit // sign-ins failed
	FailedAccount ratelimit.Limit // sign-ins tried for one account since its last that succeeded
}

// DefaultLimits allows an address 30 sign-ins, 20 registrations and 10 failed sign-ins a minute, and an account 5 failed
// sign-ins in five minutes.
func DefaultLimits(limiter Limiter) *Limits {
	perMinute := func(name string, events int) ratelimit.Limit {
		return ratelimit.Limit{Name: name, Events: events, Period: time.Minute, Burst: events}
	}
	return &Limits{
		Limiter: limiter, Login: perMinute("login", 30), Signup: perMinute("signup", 20), FailedAddress: perMinute("failed", 10),
		FailedAccount: ratelimit.Limit{Name: "attempt", Events: 5, Period: 5 * time.Minute, Burst: 5},
	}
}

func (l *Limits) registration(ctx context.Context) error {
	if l == nil || l.Signup == (ratelimit.Limit{}) {
		return nil
	}
	return throttled(ctx, l.Limiter.Allow(ctx, "account:signup:"+address(ctx), l.Signup))
}

func (l *Limits) login(ctx context.Context) error {
	if l == nil || l.Login == (ratelimit.Limit{}) {
		return nil
	}
	return throttled(ctx, l.Limiter.Allow(ctx, "account:login:"+address(ctx), l.Login))
}

// attempt counts a guess at the password of the account named, before it is looked at, so that many at once get no further
// than one after the other. A success starts the count anew: lastLogin is part of what is counted.
func (l *Limits) attempt(ctx context.Context, emailKey string, lastLogin *time.Time) error {
	if l == nil {
		return nil
	}
	if err := throttled(ctx, l.Limiter.Peek(ctx, "account:failed:"+address(ctx), l.FailedAddress)); err != nil {
		return err
	}
	if emailKey == "" { // no address of anybody's, so that there is no account to guess at
		return nil
	}
	since := int64(0)
	if lastLogin != nil {
		since = lastLogin.UnixMicro()
	}
	// Keys may be seen by whoever can read the limiter's store, so that they do not hold addresses in the clear.
	account := sha256.Sum256([]byte(emailKey))
	key := "account:attempt:" + hex.EncodeToString(account[:16]) + ":" + strconv.FormatInt(since, 36)
	return throttled(ctx, l.Limiter.Allow(ctx, key, l.FailedAccount))
}

func (l *Limits) failure(ctx context.Context) {
	if l != nil {
		l.Limiter.Allow(ctx, "account:failed:"+address(ctx), l.FailedAddress)
	}
}

func address(ctx context.Context) string { return ratelimit.ClientKey(httpx.ClientOf(ctx).Addr) }

func throttled(ctx context.Context, result ratelimit.Result) error {
	if result.Allowed {
		return nil
	}
	wait := max(int(math.Ceil(result.RetryAfter.Seconds())), 1)
	return &fault.Error{
		Kind:       fault.TooMany,
		Message:    lang.Of(ctx).Textf("Request was throttled. Expected available in %d seconds.", wait),
		RetryAfter: time.Duration(wait) * time.Second,
	}
}
