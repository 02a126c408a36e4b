package token

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"github.com/portico-web/portico/internal/fault"
)

// Identity is who sends a request.
type Identity struct {
	UserID   uuid.UUID
	SchoolID int64 // 0: none
	Staff    bool
	Cookie   bool // authenticated by cookie, not by header
}

// resolution finds an identity at most once, when it is first asked for.
type resolution struct {
	once     sync.Once
	resolve  func(context.Context) (Identity, error)
	identity Identity
	err      error
}

func (r *resolution) get(ctx context.Context) (Identity, error) {
	r.once.Do(func() { r.identity, r.err = r.resolve(ctx) })
	return r.identity, r.err
}

type contextKey struct{}

// WithIdentity says who sends the request of ctx.
func WithIdentity(ctx context.Context, identity Identity) context.Context {
	return WithResolver(ctx, func(context.Context) (Identity, error) { return identity, nil })
}

// WithResolver has resolve find out who sends the request of ctx, at most once and only if somebody asks. Its error tells
// what is wrong with the credentials sent.
func WithResolver(ctx context.Context, resolve func(context.Context) (Identity, error)) context.Context {
	return context.WithValue(ctx, contextKey{}, &resolution{resolve: resolve})
}

// IdentityOf is who sends the request; false when nobody is known, be it that the credentials sent are of no use.
func IdentityOf(ctx context.Context) (Identity, bool) {
	identity, err := Require(ctx)
	return identity, err == nil
}

// Require is IdentityOf for what only a person signed in may do. Its error is a fault: nobody is signed in, or why the
// credentials sent are refused.
func Require(ctx context.Context) (Identity, error) {
	r, ok := ctx.Value(contextKey{}).(*resolution)
	if !ok {
		return Identity{}, fault.New(fault.Unauthenticated, "Authentication credentials were not provided.")
	}
	return r.get(ctx)
}
