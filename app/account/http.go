package account

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/field"
	"github.com/portico-web/portico/internal/httpx"
)

// API answers what clients of dj-rest-auth ask for under /accounts/, and /.well-known/jwks.json. Its handlers need
// Service.Authenticate before them.
type API struct{ Accounts *Service }

// noStore goes with every answer about a person.
const noStore = "no-store"

// shownRefresh is the refresh token as bodies show it: not at all while it belongs into its cookie alone.
func (a *API) shownRefresh(session Session) string {
	if a.Accounts.httpOnly {
		return ""
	}
	return session.Refresh
}

// LoginBody is what signs in; clients of Django may call the address username.
type LoginBody struct {
	Email    field.Text `json:"email,omitzero" format:"email" example:"\"minji@example.com\""`
	Username field.Text `json:"username,omitzero" doc:"The same as email, for clients that call it so."`
	Password field.Text `json:"password,omitzero" format:"password"`
}

// TransformSchema implements huma.SchemaTransformer.
func (LoginBody) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return field.Document(s, "email", "password")
}

// LoginInput is POST /accounts/login/.
type LoginInput struct{ Body *LoginBody }

// LoginAnswer is a session in a body.
type LoginAnswer struct {
	Access            string     `json:"access" doc:"The access token, for the header Authorization: Bearer …"`
	Refresh           string     `json:"refresh" doc:"The refresh token; empty while it is kept in an HttpOnly cookie."`
	User              PublicUser `json:"user"`
	AccessExpiration  httpx.Time `json:"access_expiration" format:"date-time"`
	RefreshExpiration httpx.Time `json:"refresh_expiration" format:"date-time"`
}

// LoginOutput is a session, in a body and in cookies.
type LoginOutput struct {
	SetCookie    []http.Cookie `header:"Set-Cookie"`
	CacheControl string        `header:"Cache-Control"`
	Body         LoginAnswer
}

// Login answers 200 with a session.
func (a *API) Login(ctx context.Context, in *LoginInput) (*LoginOutput, error) {
	if _, err := provenanceOf(ctx); err != nil {
		return nil, err
	}
	var body LoginBody
	if in.Body != nil {
		body = *in.Body
	}
	var checks field.Checks
	var email, username, password string
	checks.RawOptional("email", body.Email, &email)
	checks.RawOptional("username", body.Username, &username)
	checks.Raw("password", body.Password, &password)
	if body.Password.Set && body.Password.Value == "" && checks.Err() == nil {
		checks.Refuse("password", blank)
	}
	if err := checks.Err(); err != nil {
		return nil, err
	}
	if email == "" {
		email = username
	}
	session, err := a.Accounts.Login(ctx, email, password)
	if err != nil {
		return nil, err
	}
	return &LoginOutput{
		SetCookie: a.Accounts.cookies(session), CacheControl: noStore,
		Body: LoginAnswer{
			Access: session.Access, Refresh: a.shownRefresh(session), User: publicUser(session.User),
			AccessExpiration: httpx.Time{Time: session.AccessExpires}, RefreshExpiration: httpx.Time{Time: session.RefreshExpires},
		},
	}, nil
}

// RegistrationBody is what makes an account.
type RegistrationBody struct {
	Email         field.Text `json:"email,omitzero" format:"email" maxLength:"254" example:"\"minji@example.com\""`
	Password1     field.Text `json:"password1,omitzero" format:"password" minLength:"8" maxLength:"128"`
	Password2     field.Text `json:"password2,omitzero" format:"password" doc:"The same again."`
	Nickname      field.Text `json:"nickname,omitzero" maxLength:"50" example:"\"민지\""`
	FirstName     field.Text `json:"first_name,omitzero" maxLength:"150"`
	LastName      field.Text `json:"last_name,omitzero" maxLength:"150"`
	SchoolID      field.Int  `json:"school_id,omitzero" doc:"The school whose member the person becomes; posting needs one."`
	AdmissionYear field.Int  `json:"admission_year,omitzero" minimum:"1900" maximum:"2100" example:"2024"`
}

// TransformSchema implements huma.SchemaTransformer.
func (RegistrationBody) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return field.Document(s, "email", "password1", "password2")
}

func (b *RegistrationBody) registration() (Registration, error) {
	var checks field.Checks
	var in Registration
	var year *int64
	checks.Raw("email", b.Email, &in.Email)
	checks.Raw("password1", b.Password1, &in.Password1)
	checks.Raw("password2", b.Password2, &in.Password2)
	checks.RawOptional("nickname", b.Nickname, &in.Nickname)
	checks.RawOptional("first_name", b.FirstName, &in.FirstName)
	checks.RawOptional("last_name", b.LastName, &in.LastName)
	checks.OptionalInt("school_id", b.SchoolID, &in.SchoolID)
	checks.OptionalInt("admission_year", b.AdmissionYear, &year)
	if year != nil {
		bounded := int(min(max(*year, minAdmissionYear-1), maxAdmissionYear+1))
		in.AdmissionYear = &bounded
	}
	return in, checks.Err()
}

// RegistrationInput is POST /accounts/registration/.
type RegistrationInput struct{ Body *RegistrationBody }

// RegistrationAnswer is the session of somebody new.
type RegistrationAnswer struct {
	Access  string     `json:"access"`
	Refresh string     `json:"refresh" doc:"The refresh token; empty while it is kept in an HttpOnly cookie."`
	User    PublicUser `json:"user"`
}

// RegistrationOutput is a new session, in a body and in cookies. Status is 201.
type RegistrationOutput struct {
	Status       int
	SetCookie    []http.Cookie `header:"Set-Cookie"`
	CacheControl string        `header:"Cache-Control"`
	Body         RegistrationAnswer
}

// Register answers 201 with the session of the new account.
func (a *API) Register(ctx context.Context, in *RegistrationInput) (*RegistrationOutput, error) {
	if _, err := provenanceOf(ctx); err != nil {
		return nil, err
	}
	body := in.Body
	if body == nil {
		body = &RegistrationBody{}
	}
	registration, err := body.registration()
	if err != nil {
		return nil, err
	}
	session, err := a.Accounts.Register(ctx, registration)
	if err != nil {
		return nil, err
	}
	return &RegistrationOutput{
		Status: http.StatusCreated, SetCookie: a.Accounts.cookies(session), CacheControl: noStore,
		Body: RegistrationAnswer{Access: session.Access, Refresh: a.shownRefresh(session), User: publicUser(session.User)},
	}, nil
}

// RefreshBody may carry the refresh token; else the cookie does.
type RefreshBody struct {
	Refresh field.Text `json:"refresh,omitzero" doc:"The refresh token; without it, the cookie counts."`
}

// TransformSchema implements huma.SchemaTransformer.
func (RefreshBody) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return field.Document(s)
}

// refreshToken finds the token that a request is about: the body's, else the cookie's.
func (b *RefreshBody) refreshToken(sent provenance) (string, error) {
	if b == nil {
		return sent.refresh, nil
	}
	var checks field.Checks
	var inBody string
	checks.RawOptional("refresh", b.Refresh, &inBody)
	if inBody == "" {
		inBody = sent.refresh
	}
	return inBody, checks.Err()
}

// RefreshInput is POST /accounts/token/refresh/.
type RefreshInput struct{ Body *RefreshBody }

// RefreshAnswer is a renewed session; the refresh token is left out while it is kept in an HttpOnly cookie.
type RefreshAnswer struct {
	Access            string      `json:"access"`
	AccessExpiration  httpx.Time  `json:"access_expiration" format:"date-time"`
	Refresh           string      `json:"refresh,omitempty"`
	RefreshExpiration *httpx.Time `json:"refresh_expiration,omitempty" format:"date-time"`
}

// RefreshOutput is a renewed session, in a body and in cookies.
type RefreshOutput struct {
	SetCookie    []http.Cookie `header:"Set-Cookie"`
	CacheControl string        `header:"Cache-Control"`
	Body         RefreshAnswer
}

// Refresh answers 200 with a renewed session.
func (a *API) Refresh(ctx context.Context, in *RefreshInput) (*RefreshOutput, error) {
	sent, err := provenanceOf(ctx)
	if err != nil {
		return nil, err
	}
	refresh, err := in.Body.refreshToken(sent)
	if err != nil {
		return nil, err
	}
	session, err := a.Accounts.Refresh(ctx, refresh)
	if err != nil {
		return nil, err
	}
	out := &RefreshOutput{
		SetCookie: a.Accounts.cookies(session), CacheControl: noStore,
		Body: RefreshAnswer{Access: session.Access, AccessExpiration: httpx.Time{Time: session.AccessExpires}},
	}
	if !a.Accounts.httpOnly {
		out.Body.Refresh = session.Refresh
		out.Body.RefreshExpiration = &httpx.Time{Time: session.RefreshExpires}
	}
	return out, nil
}

// LogoutInput is POST /accounts/logout/.
type LogoutInput struct{ Body *RefreshBody }

// LogoutOutput says good-bye and takes the cookies away.
type LogoutOutput struct {
	SetCookie    []http.Cookie `header:"Set-Cookie"`
	CacheControl string        `header:"Cache-Control"`
	Body         struct {
		Detail string `json:"detail"`
	}
}

// Logout answers 200, whether anybody was signed in or not.
func (a *API) Logout(ctx context.Context, in *LogoutInput) (*LogoutOutput, error) {
	sent, err := provenanceOf(ctx)
	if err != nil {
		return nil, err
	}
	refresh, err := in.Body.refreshToken(sent)
	if err != nil {
		return nil, err
	}
	if err := a.Accounts.Logout(ctx, refresh); err != nil {
		return nil, err
	}
	out := &LogoutOutput{SetCookie: a.Accounts.noCookies(), CacheControl: noStore}
	out.Body.Detail = text(ctx, "Successfully logged out.")
	return out, nil
}

// VerifyBody is a token of either kind.
type VerifyBody struct {
	Token field.Text `json:"token,omitzero"`
}

// TransformSchema implements huma.SchemaTransformer.
func (VerifyBody) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return field.Document(s, "token")
}

// VerifyInput is POST /accounts/token/verify/.
type VerifyInput struct{ Body *VerifyBody }

// VerifyOutput is an empty object.
type VerifyOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         struct{}
}

// Verify answers 200 when the token is good.
func (a *API) Verify(ctx context.Context, in *VerifyInput) (*VerifyOutput, error) {
	var body VerifyBody
	if in.Body != nil {
		body = *in.Body
	}
	var checks field.Checks
	var raw string
	checks.Raw("token", body.Token, &raw)
	if err := checks.Err(); err != nil {
		return nil, err
	}
	if raw == "" {
		return nil, fault.Field("token", blank)
	}
	if err := a.Accounts.VerifyToken(ctx, raw); err != nil {
		return nil, err
	}
	return &VerifyOutput{CacheControl: noStore}, nil
}
