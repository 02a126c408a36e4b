package token_test

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/internal/fault"
)

const (
	secret = "one secret for tests, of thirty-two bytes and more"
	older  = "older secret for tests, of thirty-two bytes and more"
)

var now = time.Date(2026, 11, 20, 3, 4, 5, 0, time.UTC)

func keys(t testing.TB, secrets ...string) *token.Keys {
	t.Helper()
	k, err := token.NewKeys(secrets[0], secrets[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func claims(kind token.Kind) token.Claims {
	c := token.Claims{
		Kind: kind, ID: uuid.MustParse("0f8fad5b-d9cb-469f-a165-70867728950e"), UserID: uuid.MustParse("7c9e6679-7425-40de-944b-e07fc1f90ae7"),
		Issued: now, Expires: now.Add(time.Minute),
	}
	if kind == token.Refresh {
		c.Family = c.ID
	}
	return c
}

func sign(t testing.TB, k *token.Keys, c token.Claims) string {
	t.Helper()
	signed, err := k.Sign(c)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestSignedClaimsComeBack(t *testing.T) {
	t.Parallel()
	k := keys(t, secret)
	for _, kind := range []token.Kind{token.Access, token.Refresh} {
		signed := sign(t, k, claims(kind))
		got, err := k.Verify(signed, now, kind)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Issued.Equal(now) || !got.Expires.Equal(now.Add(time.Minute)) {
			t.Errorf("%s: times %s, %s", kind, got.Issued, got.Expires)
		}
		got.Issued, got.Expires = now, now.Add(time.Minute)
		if diff := cmp.Diff(claims(kind), got); diff != "" {
			t.Errorf("%s:\n%s", kind, diff)
		}
		if sign(t, keys(t, secret), claims(kind)) != signed {
			t.Errorf("%s: the same secret and claims gave another token", kind)
		}
	}
}

func TestClaimsHaveTheNamesOfSimpleJWT(t *testing.T) {
	t.Parallel()
	parts := strings.Split(sign(t, keys(t, secret), claims(token.Access)), ".")
	header, _ := base64.RawURLEncoding.DecodeString(parts[0])
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	if want := fmt.Sprintf(`{"alg":"EdDSA","kid":"%s","typ":"JWT"}`, keys(t, secret).JWKS().Keys[0].KeyID); string(header) != want {
		t.Errorf("header %s, want %s", header, want)
	}
	want := `{"token_type":"access","exp":1795143905,"iat":1795143845,"jti":"0f8fad5b-d9cb-469f-a165-70867728950e","user_id":"7c9e6679-7425-40de-944b-e07fc1f90ae7"}`
	if string(payload) != want {
		t.Errorf("claims %s, want %s", payload, want)
	}
}

func TestVerifyTellsWhyItRefuses(t *testing.T) {
	t.Parallel()
	k := keys(t, secret)
	access := sign(t, k, claims(token.Access))
	segment := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	kid := k.JWKS().Keys[0].KeyID
	public, _ := base64.RawURLEncoding.DecodeString(k.JWKS().Keys[0].X)
	payload := strings.Split(access, ".")[1]
	// The classic forgeries: no algorithm, and the public key taken as the secret of an HMAC.
	none := segment(`{"alg":"none","kid":"`+kid+`"}`) + "." + payload + "."
	confused := segment(`{"alg":"HS256","kid":"`+kid+`"}`) + "." + payload
	mac := hmac.New(sha256.New, public)
	mac.Write([]byte(confused))
	confused += "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	_, attacker, _ := ed25519.GenerateKey(nil)
	forge := func(header string) string {
		signed := segment(header) + "." + payload
		return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(attacker, []byte(signed)))
	}
	for name, test := range map[string]struct {
		raw  string
		at   time.Time
		want error
	}{
		"good":                     {access, now, nil},
		"at its end":               {access, now.Add(time.Minute + 2*time.Second), nil},
		"over":                     {access, now.Add(time.Minute + 4*time.Second), token.ErrExpired},
		"clock a little behind":    {access, now.Add(-2 * time.Second), nil},
		"from the future":          {access, now.Add(-time.Minute), token.ErrInvalid},
		"empty":                    {"", now, token.ErrInvalid},
		"nonsense":                 {"a.b.c", now, token.ErrInvalid},
		"two parts":                {access[:strings.LastIndex(access, ".")], now, token.ErrInvalid},
		"four parts":               {access + ".x", now, token.ErrInvalid},
		"white space":              {access + "\n", now, token.ErrInvalid},
		"padding":                  {access + "==", now, token.ErrInvalid},
		"loose base64":             {looseEnd(access), now, token.ErrInvalid},
		"too long":                 {access + strings.Repeat("A", 5000), now, token.ErrInvalid},
		"no algorithm":             {none, now, token.ErrInvalid},
		"HMAC with the public key": {confused, now, token.ErrInvalid},
		"another key":              {forge(`{"alg":"EdDSA","kid":"` + kid + `"}`), now, token.ErrInvalid},
		"unknown key":              {forge(`{"alg":"EdDSA","kid":"x"}`), now, token.ErrInvalid},
		"key without name":         {forge(`{"alg":"EdDSA"}`), now, token.ErrInvalid},
		"key's name no string":     {forge(`{"alg":"EdDSA","kid":["` + kid + `"]}`), now, token.ErrInvalid},
		"critical header":          {forge(`{"alg":"EdDSA","kid":"` + kid + `","crit":["b64"],"b64":false}`), now, token.ErrInvalid},
		"other secret":             {sign(t, keys(t, older), claims(token.Access)), now, token.ErrInvalid},
		"refresh":                  {sign(t, k, claims(token.Refresh)), now, token.ErrWrongKind},
	} {
		got, err := k.Verify(test.raw, test.at, token.Access)
		if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if err != nil && got != (token.Claims{}) {
			t.Errorf("%s: claims of a refused token are told: %+v", name, got)
		}
	}
	if _, err := k.Sign(token.Claims{Kind: "other"}); err == nil {
		t.Error("a token of unknown kind was signed")
	}
}

// looseEnd changes bits of the last character that carry no data.
func looseEnd(raw string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, raw[len(raw)-1])
	return raw[:len(raw)-1] + string(alphabet[last|1])
}

func TestOlderSecretsVerifyAndNoLongerSign(t *testing.T) {
	t.Parallel()
	before, after := keys(t, older), keys(t, secret, older)
	old := sign(t, before, claims(token.Refresh))
	if _, err := after.Verify(old, now, token.Refresh); err != nil {
		t.Errorf("a token of the older secret: %v", err)
	}
	if _, err := before.Verify(sign(t, after, claims(token.Refresh)), now, token.Refresh); err == nil {
		t.Error("the older secret still signs")
	}
	all, err := after.SignAll(claims(token.Refresh))
	if err != nil || len(all) != 2 || all[0] == old || all[1] != old {
		t.Errorf("%q, %v", all, err)
	}
	if set := after.JWKS(); len(set.Keys) != 2 || set.Keys[0] != keys(t, secret).JWKS().Keys[0] || set.Keys[1] != before.JWKS().Keys[0] {
		t.Errorf("published keys %+v", set)
	}
	for _, short := range [][]string{{"short"}, {secret, "short"}, {""}} {
		if _, err := token.NewKeys(short[0], short[1:]...); err == nil {
			t.Errorf("the secrets %q were taken", short)
		}
	}
}

func TestTokensThatAreOverStillName(t *testing.T) {
	t.Parallel()
	k := keys(t, secret)
	past := claims(token.Refresh)
	past.Issued, past.Expires = now.Add(-48*time.Hour), now.Add(-24*time.Hour)
	if got, err := k.VerifyPast(sign(t, k, past), token.Refresh); err != nil || got.Family != past.Family {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := k.VerifyPast(sign(t, k, claims(token.Access)), token.Refresh); !errors.Is(err, token.ErrWrongKind) {
		t.Errorf("an access token: %v", err)
	}
	if _, err := k.VerifyPast(sign(t, keys(t, older), past), token.Refresh); !errors.Is(err, token.ErrInvalid) {
		t.Errorf("another secret's token: %v", err)
	}
}

func TestSuccessorIsOneAndForeseenByNobody(t *testing.T) {
	t.Parallel()
	parent := uuid.New()
	first := keys(t, secret).SuccessorID(parent)
	if first != keys(t, secret, older).SuccessorID(parent) {
		t.Error("two processes name two successors")
	}
	if first == keys(t, older).SuccessorID(parent) || first == keys(t, secret).SuccessorID(uuid.New()) || first.Version() != 8 || first.Variant() != uuid.RFC4122 {
		t.Errorf("successor %s", first)
	}
}

func TestIdentityIsFoundAtMostOnceAndOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	calls := 0
	want := token.Identity{UserID: uuid.New(), SchoolID: 3, Staff: true}
	ctx := token.WithResolver(t.Context(), func(context.Context) (token.Identity, error) {
		calls++
		return want, nil
	})
	if calls != 0 {
		t.Error("found before anybody asked")
	}
	for range 3 {
		if got, err := token.Require(ctx); got != want || err != nil {
			t.Errorf("%+v, %v", got, err)
		}
		if got, ok := token.IdentityOf(ctx); got != want || !ok {
			t.Errorf("%+v, %v", got, ok)
		}
	}
	if calls != 1 {
		t.Errorf("found %d times", calls)
	}
	if got, err := token.Require(token.WithIdentity(t.Context(), want)); got != want || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	refused := errors.New("refused")
	broken := token.WithResolver(t.Context(), func(context.Context) (token.Identity, error) { return want, refused })
	if _, err := token.Require(broken); !errors.Is(err, refused) {
		t.Errorf("%v, want %v", err, refused)
	}
	if _, ok := token.IdentityOf(broken); ok {
		t.Error("refused credentials are somebody's")
	}
	if _, err := token.Require(t.Context()); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("nobody: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	k := keys(f, secret)
	good := sign(f, k, claims(token.Access))
	for _, seed := range []string{good, sign(f, k, claims(token.Refresh)), "", "..", "e30.e30.", good + "A", strings.ToLower(good)} {
		f.Add(seed)
	}
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"` + k.JWKS().Keys[0].KeyID + `"}`))
	for _, payload := range []string{`{"exp":1e308}`, `{"exp":-1e308,"iat":"x"}`, `{"exp":null}`, `[]`, `{"token_type":{}}`, `{"exp":1,"exp":2}`} {
		f.Add(header + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".AAAA")
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := k.Verify(raw, now, token.Access, token.Refresh)
		if err == nil {
			if sign(t, k, got) != raw {
				t.Errorf("%q is accepted and was not signed", raw)
			}
		} else if !errors.Is(err, token.ErrInvalid) && !errors.Is(err, token.ErrExpired) && !errors.Is(err, token.ErrWrongKind) {
			t.Errorf("%q: unclassified error %v", raw, err)
		}
	})
}
