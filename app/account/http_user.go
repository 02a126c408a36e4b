package account

import (
	"context"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/internal/field"
)

// PublicUser is an account as its owner sees it.
type PublicUser struct {
	PK        uuid.UUID `json:"pk" format:"uuid"`
	Email     string    `json:"email" format:"email"`
	FirstName string    `json:"first_name"`
	LastName  string    `json:"last_name"`
}

func publicUser(user User) PublicUser {
	return PublicUser{PK: user.ID, Email: user.Email, FirstName: user.FirstName, LastName: user.LastName}
}

// UserInput is GET /accounts/user/.
type UserInput struct{}

// UserOutput is the account of whoever asks.
type UserOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         PublicUser
}

// User answers 200 with the account of whoever asks.
func (a *API) User(ctx context.Context, _ *UserInput) (*UserOutput, error) {
	identity, err := token.Require(ctx)
	if err != nil {
		return nil, err
	}
	user, err := a.Accounts.User(ctx, identity.UserID)
	if err != nil {
		return nil, err
	}
	return &UserOutput{CacheControl: noStore, Body: publicUser(user)}, nil
}

// UserBody changes an account; everything else in it is ignored, so that a client may send back what it read.
type UserBody struct {
	FirstName field.Text `json:"first_name,omitzero" maxLength:"150"`
	LastName  field.Text `json:"last_name,omitzero" maxLength:"150"`
}

// TransformSchema implements huma.SchemaTransformer.
func (UserBody) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return field.Document(s)
}

// UpdateUserInput is PUT or PATCH /accounts/user/.
type UpdateUserInput struct{ Body *UserBody }

// ReplaceUser answers 200 with the changed account. As with dj-rest-auth, nothing is required with PUT either.
func (a *API) ReplaceUser(ctx context.Context, in *UpdateUserInput) (*UserOutput, error) {
	return a.UpdateUser(ctx, in)
}

// UpdateUser answers 200 with the changed account.
func (a *API) UpdateUser(ctx context.Context, in *UpdateUserInput) (*UserOutput, error) {
	identity, err := token.Require(ctx)
	if err != nil {
		return nil, err
	}
	var patch UserPatch
	if in.Body != nil {
		checks := field.Checks{Partial: true}
		for _, name := range []struct {
			field string
			in    field.Text
			into  **string
		}{{"first_name", in.Body.FirstName, &patch.FirstName}, {"last_name", in.Body.LastName, &patch.LastName}} {
			if name.in.Set {
				*name.into = new(string)
				checks.Raw(name.field, name.in, *name.into)
			}
		}
		if err := checks.Err(); err != nil {
			return nil, err
		}
	}
	user, err := a.Accounts.UpdateUser(ctx, identity.UserID, patch)
	if err != nil {
		return nil, err
	}
	return &UserOutput{CacheControl: noStore, Body: publicUser(user)}, nil
}

// JWKSOutput is the set of public keys, which may be cached for five minutes.
type JWKSOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         token.JWKS
}

// JWKS answers 200 with the keys that verify access tokens.
func (a *API) JWKS(context.Context, *struct{}) (*JWKSOutput, error) {
	return &JWKSOutput{CacheControl: "public, max-age=300", Body: a.Accounts.keys.JWKS()}, nil
}
