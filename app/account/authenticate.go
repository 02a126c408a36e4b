package account

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/internal/fault"
)

// Authenticate finds out who sends a request: by the header `Authorization: Bearer …`, or else by the cookie, which needs a
// CSRF proof for unsafe methods. It refuses nobody. What is wrong with the credentials is told to handlers that call
// token.Require; the account is read from the database when a handler first asks. Forms of API requests must have become
// JSON before.
func (s *Service) Authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), provenanceKey{}, provenance{
			foreign: s.csrf.CheckOrigin(r), refresh: s.RefreshCookie(r),
		})
		if found := credentialsOf(r); found.sent {
			if found.cookie && found.refusal == nil {
				found.refusal = s.csrf.Check(r)
			}
			ctx = token.WithResolver(ctx, func(ctx context.Context) (token.Identity, error) { return s.identity(ctx, found) })
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// provenance is what handlers without a view of the request must know of it.
type provenance struct {
	foreign error  // a fault when the browser says that another site made the request
	refresh string // the refresh token's cookie
}

type provenanceKey struct{}

func provenanceOf(ctx context.Context) (provenance, error) {
	p, ok := ctx.Value(provenanceKey{}).(provenance)
	if !ok {
		return provenance{}, errors.New("account handlers need Service.Authenticate before them")
	}
	return p, p.foreign
}

// credentials are what a client sent to say who it is.
type credentials struct {
	sent    bool
	raw     string
	cookie  bool
	refusal error // what is wrong with them, whatever the token says
}

func credentialsOf(r *http.Request) credentials {
	if header := strings.Fields(r.Header.Get("Authorization")); len(header) > 0 && strings.EqualFold(header[0], "Bearer") {
		found := credentials{sent: true}
		if len(header) != 2 {
			found.refusal = fault.Coded(fault.Unauthenticated, "bad_authorization_header", "Authorization header must contain two space-delimited values")
			return found
		}
		found.raw = header[1]
		return found
	}
	// Other schemes are somebody else's, such as a password that the edge asks for.
	if cookie, err := r.Cookie(AccessCookie); err == nil && cookie.Value != "" {
		return credentials{sent: true, raw: cookie.Value, cookie: true}
	}
	return credentials{}
}

// identity checks credentials as Django's simplejwt does and answers in its words.
func (s *Service) identity(ctx context.Context, sent credentials) (token.Identity, error) {
	if sent.refusal != nil && !sent.cookie {
		return token.Identity{}, sent.refusal
	}
	claims, err := s.keys.Verify(sent.raw, s.now(), token.Access)
	if err != nil {
		return token.Identity{}, accessRefusal(ctx, err)
	}
	user, err := s.store.standing(ctx, claims.UserID)
	switch {
	case missing(err):
		return token.Identity{}, fault.Coded(fault.Unauthenticated, "user_not_found", "User not found")
	case err != nil:
		return token.Identity{}, err
	case !user.IsActive:
		return token.Identity{}, fault.Coded(fault.Unauthenticated, "user_inactive", "User is inactive")
	case sent.refusal != nil:
		return token.Identity{}, sent.refusal
	}
	identity := token.Identity{UserID: user.ID, Staff: user.staff(), Cookie: sent.cookie}
	if user.SchoolID != nil {
		identity.SchoolID = *user.SchoolID
	}
	return identity, nil
}

func accessRefusal(ctx context.Context, err error) error {
	reason := "Token is invalid"
	switch {
	case errors.Is(err, token.ErrExpired):
		reason = "Token is expired"
	case errors.Is(err, token.ErrWrongKind):
		reason = "Token has wrong type"
	}
	return &fault.Error{
		Kind: fault.Unauthenticated, Code: codeTokenNotValid, Message: "Given token not valid for any token type",
		Extra: map[string]any{"messages": []map[string]string{
			{"token_class": "AccessToken", "token_type": "access", "message": text(ctx, reason)},
		}},
		Cause: err,
	}
}
