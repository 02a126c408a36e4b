package account

import (
	"context"
	"crypto/sha256"
	"math"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/internal/httpx"
)

// Session is what a person gets who signs in or renews a sign-in.
type Session struct {
	Access         string
	Refresh        string
	AccessExpires  time.Time
	RefreshExpires time.Time
	User           User
}

// maxUserAgent bounds what is kept of a client's name for itself, in characters.
const maxUserAgent = 300

// newToken makes the row of a refresh token for the client of ctx and the token itself. A parent's child has the parent's
// family; without one a family begins.
func (s *Service) newToken(ctx context.Context, userID uuid.UUID, parent *refreshToken, now time.Time) (*refreshToken, string, error) {
	client := httpx.ClientOf(ctx)
	row := &refreshToken{
		ID: uuid.New(), UserID: userID, UserAgent: storable(client.UserAgent, maxUserAgent),
		ExpiresAt: now.Add(s.refresh).Truncate(time.Second), CreatedAt: now, UpdatedAt: now,
	}
	row.Family = row.ID
	if client.Addr.IsValid() {
		row.IP = storable(client.Addr.String(), maxUserAgent)
	}
	if parent != nil {
		row.ID, row.Family, row.Parent = s.keys.SuccessorID(parent.ID), parent.Family, &parent.ID
	}
	signed, err := s.keys.Sign(row.claims())
	if err != nil {
		return nil, "", err
	}
	row.Hash = hashToken(signed)
	return row, signed, nil
}

// claims are what the row's token says. The same row always gives the same claims, and with the same key the same token.
func (t *refreshToken) claims() token.Claims {
	return token.Claims{
		Kind: token.Refresh, ID: t.ID, UserID: t.UserID, Family: t.Family, Issued: t.CreatedAt, Expires: t.ExpiresAt,
	}
}

func hashToken(signed string) []byte {
	hash := sha256.Sum256([]byte(signed))
	return hash[:]
}

// session completes a refresh token with an access token.
func (s *Service) session(user User, refresh string, row *refreshToken, now time.Time) (Session, error) {
	expires := now.Add(s.access).Truncate(time.Second)
	access, err := s.keys.Sign(token.Claims{Kind: token.Access, ID: uuid.New(), UserID: user.ID, Issued: now, Expires: expires})
	if err != nil {
		return Session{}, err
	}
	return Session{Access: access, Refresh: refresh, AccessExpires: expires, RefreshExpires: row.ExpiresAt, User: user}, nil
}

// SetCookies gives the client the session's tokens in cookies that last as long as the tokens.
func (s *Service) SetCookies(w http.ResponseWriter, session Session) {
	for _, cookie := range s.cookies(session) {
		http.SetCookie(w, &cookie)
	}
}

// ClearCookies takes the tokens' cookies away from the client.
func (s *Service) ClearCookies(w http.ResponseWriter) {
	for _, cookie := range s.noCookies() {
		http.SetCookie(w, &cookie)
	}
}

// RefreshCookie is the refresh token that the client sent in its cookie, or "".
func (s *Service) RefreshCookie(r *http.Request) string {
	if cookie, err := r.Cookie(RefreshCookie); err == nil {
		return cookie.Value
	}
	return ""
}

func (s *Service) cookies(session Session) []http.Cookie {
	now := s.now()
	return []http.Cookie{
		s.cookie(AccessCookie, session.Access, session.AccessExpires, now),
		s.cookie(RefreshCookie, session.Refresh, session.RefreshExpires, now),
	}
}

func (s *Service) noCookies() []http.Cookie {
	long := time.Unix(1, 0).UTC()
	return []http.Cookie{s.cookie(AccessCookie, "", long, long), s.cookie(RefreshCookie, "", long, long)}
}

func (s *Service) cookie(name, value string, expires, now time.Time) http.Cookie {
	age := int(math.Ceil(expires.Sub(now).Seconds())) // tokens end at full seconds
	if age < 1 {
		age = -1 // net/http writes Max-Age=0: delete it now
	}
	return http.Cookie{ //nolint:gosec // what is secure is the operator's setting, and on by default
		Name: name, Value: value, Path: "/", Expires: expires, MaxAge: age,
		HttpOnly: s.httpOnly, Secure: s.secure, SameSite: http.SameSiteLaxMode,
	}
}
