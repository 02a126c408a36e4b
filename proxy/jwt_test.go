package proxy_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// issuer makes tokens, and serves the keys that verify them.
type issuer struct {
	mu      sync.Mutex
	private map[string]crypto.Signer // by key id
	served  []string                 // ids of the keys in the set
	down    bool
	asked   int
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{private: map[string]crypto.Signer{}}
	for _, id := range []string{"rsa", "foreign"} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		i.private[id] = key
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	i.private["weak"] = weak
	for _, id := range []string{"ec", "later"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		i.private[id] = key
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.private["ed"] = ed
	i.served = []string{"rsa", "weak", "ec", "ed"}
	return i
}

// set is the JWK Set, in which there is also a secret that verifies nothing.
func (i *issuer) set() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	set := map[string][]any{"keys": {map[string]string{"kty": "oct", "kid": "secret", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}, map[string]string{"kty": "new"}}}
	for _, id := range i.served {
		set["keys"] = append(set["keys"], jose.JSONWebKey{Key: i.private[id].Public(), KeyID: id, Use: "sig"})
	}
	text, err := json.Marshal(set)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	i.asked++
	down := i.down
	i.mu.Unlock()
	if down {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = w.Write([]byte(i.set()))
}

func (i *issuer) change(do func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	do()
}

func (i *issuer) fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

// token is one with these claims besides, or instead of, good ones; nil takes one away.
func (i *issuer) token(t *testing.T, key string, method jwt.SigningMethod, changes jwt.MapClaims) string {
	t.Helper()
	return i.signed(t, key, i.private[key], method, changes, nil)
}

func (i *issuer) signed(t *testing.T, id string, key any, method jwt.SigningMethod, changes jwt.MapClaims, header map[string]any) string {
	t.Helper()
	claims := jwt.MapClaims{"iss": "https://login.example", "aud": []string{"app", "other"}, "sub": "ada", "exp": time.Now().Add(time.Hour).Unix(), "role": "staff"}
	for name, value := range changes {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	token := jwt.NewWithClaims(method, claims)
	if id != "" {
		token.Header["kid"] = id
	}
	for name, value := range header {
		token.Header[name] = value
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestATokenPassesOnlyIfAllOfItIsRight(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	keys := serve(t, i.ServeHTTP)
	e := start(t, site(echo(t), `      - {path: /, upstream: app, jwt: {jwks: "http://`+keys+`/keys", issuer: "https://login.example", audience: app, claims: {role: [staff, admin], "realm.groups": [a]}, tell: {sub: X-Auth-Subject}}}`))
	client := e.client(true)
	groups := map[string]any{"groups": []string{"b", "a"}}
	with := func(changes jwt.MapClaims) jwt.MapClaims {
		all := jwt.MapClaims{"realm": groups}
		for name, value := range changes {
			all[name] = value
		}
		return all
	}
	rs, es, ed := jwt.SigningMethodRS256, jwt.SigningMethodES256, jwt.SigningMethodEdDSA
	good := i.token(t, "ec", es, with(nil))
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(i.private["rsa"].Public()))})
	parts := strings.Split(good, ".")
	for name, c := range map[string]struct {
		token  string
		status int
		why    string
	}{
		"RSA":                      {i.token(t, "rsa", rs, with(nil)), http.StatusOK, ""},
		"RSA-PSS":                  {i.token(t, "rsa", jwt.SigningMethodPS384, with(nil)), http.StatusOK, ""},
		"EC":                       {good, http.StatusOK, ""},
		"Ed25519":                  {i.token(t, "ed", ed, with(nil)), http.StatusOK, ""},
		"no key named":             {i.signed(t, "", i.private["ec"], es, with(nil), nil), http.StatusOK, ""},
		"a list of roles":          {i.token(t, "ec", es, with(jwt.MapClaims{"role": []string{"x", "admin"}})), http.StatusOK, ""},
		"expired within the skew":  {i.token(t, "ec", es, with(jwt.MapClaims{"exp": time.Now().Add(-10 * time.Second).Unix()})), http.StatusOK, ""},
		"expired":                  {i.token(t, "ec", es, with(jwt.MapClaims{"exp": time.Now().Add(-time.Minute).Unix()})), http.StatusUnauthorized, "invalid_token"},
		"without an end":           {i.token(t, "ec", es, with(jwt.MapClaims{"exp": nil})), http.StatusUnauthorized, "invalid_token"},
		"not yet":                  {i.token(t, "ec", es, with(jwt.MapClaims{"nbf": time.Now().Add(time.Hour).Unix()})), http.StatusUnauthorized, "invalid_token"},
		"issued tomorrow":          {i.token(t, "ec", es, with(jwt.MapClaims{"iat": time.Now().Add(24 * time.Hour).Unix()})), http.StatusUnauthorized, "invalid_token"},
		"another issuer":           {i.token(t, "ec", es, with(jwt.MapClaims{"iss": "https://evil.example"})), http.StatusUnauthorized, "invalid_token"},
		"no issuer":                {i.token(t, "ec", es, with(jwt.MapClaims{"iss": nil})), http.StatusUnauthorized, "invalid_token"},
		"another audience":         {i.token(t, "ec", es, with(jwt.MapClaims{"aud": "other"})), http.StatusUnauthorized, "invalid_token"},
		"no audience":              {i.token(t, "ec", es, with(jwt.MapClaims{"aud": nil})), http.StatusUnauthorized, "invalid_token"},
		"another role":             {i.token(t, "ec", es, with(jwt.MapClaims{"role": "guest"})), http.StatusForbidden, "insufficient_scope"},
		"no role":                  {i.token(t, "ec", es, with(jwt.MapClaims{"role": nil})), http.StatusForbidden, "insufficient_scope"},
		"no nested claim":          {i.token(t, "ec", es, nil), http.StatusForbidden, "insufficient_scope"},
		"a key of somebody else":   {i.signed(t, "rsa", i.private["foreign"], rs, with(nil), nil), http.StatusUnauthorized, "invalid_token"},
		"a weak key":               {i.signed(t, "weak", i.private["weak"], rs, with(nil), nil), http.StatusUnauthorized, "invalid_token"},
		"a key of another kind":    {i.signed(t, "rsa", i.private["ec"], es, with(nil), nil), http.StatusUnauthorized, "invalid_token"},
		"no signature":             {i.signed(t, "", jwt.UnsafeAllowNoneSignatureType, jwt.SigningMethodNone, with(nil), nil), http.StatusUnauthorized, "invalid_token"},
		"HMAC by the public key":   {i.signed(t, "rsa", public, jwt.SigningMethodHS256, with(nil), nil), http.StatusUnauthorized, "invalid_token"},
		"HMAC by the set's secret": {i.signed(t, "secret", []byte("secretsecretsecretsecretsecret"), jwt.SigningMethodHS256, with(nil), nil), http.StatusUnauthorized, "invalid_token"},
		"critical headers":         {i.signed(t, "ec", i.private["ec"], es, with(nil), map[string]any{"crit": []string{"exp"}}), http.StatusUnauthorized, "invalid_token"},
		"cut":                      {good[:len(good)-4], http.StatusUnauthorized, "invalid_token"},
		"other claims":             {parts[0] + "." + strings.Split(i.token(t, "ec", es, with(jwt.MapClaims{"sub": "root"})), ".")[1] + "." + parts[2], http.StatusUnauthorized, "invalid_token"},
		"no token":                 {"x", http.StatusUnauthorized, "invalid_token"},
		"too long":                 {good + strings.Repeat("x", 20<<10), http.StatusUnauthorized, "invalid_token"},
		"nothing":                  {"", http.StatusUnauthorized, ""},
	} {
		header := http.Header{}
		if c.token != "" {
			header.Set("Authorization", "Bearer "+c.token)
		}
		got := do(t, client, http.MethodGet, "https://localhost/", header, "")
		challenge := got.Header.Get("Www-Authenticate")
		if got.StatusCode != c.status || (c.status != http.StatusOK) != strings.HasPrefix(challenge, `Bearer realm="localhost"`) || c.why != "" && !strings.Contains(challenge, c.why) {
			t.Errorf("%s: %d %q %s", name, got.StatusCode, challenge, got.body)
		}
		if c.status == http.StatusOK && got.seen(t).Header.Get("X-Auth-Subject") != "ada" {
			t.Errorf("%s: the upstream sees %v", name, got.seen(t).Header)
		}
	}
	twice := http.Header{"Authorization": {"Bearer " + good, "Bearer " + good}}
	if got := do(t, client, http.MethodGet, "https://localhost/", twice, ""); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("two tokens: %d", got.StatusCode)
	}
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	if log := e.log.String(); strings.Contains(log, parts[2]) || !strings.Contains(log, `"refused":"token is expired"`) {
		t.Error("the log has a token, or not why one is refused")
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func TestClaimsAreToldByTheEdgeAlone(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	file := filepath.Join(t.TempDir(), "keys.json")
	write(t, file, i.set())
	e := start(t, site(echo(t), `      - {path: /, upstream: app, jwt: {jwks: `+file+`, issuer: "https://login.example", from: "cookie:token", tell: {sub: X-Auth-Subject, roles: X-Auth-Roles, name: X-Auth-Name}}}
      - {path: /public, upstream: app}`))
	client := e.client(true)
	ask := func(path string, claims jwt.MapClaims) http.Header {
		t.Helper()
		header := http.Header{"Cookie": {"a=b; token=" + i.token(t, "ec", jwt.SigningMethodES256, claims)}}
		for _, name := range []string{"X-Auth-Subject", "X_Auth_Subject", "X-Auth-Roles", "X-Auth-Name"} {
			header[name] = []string{"forged"}
		}
		return do(t, client, http.MethodGet, "https://localhost"+path, header, "").seen(t).Header
	}
	for _, c := range []struct {
		path   string
		claims jwt.MapClaims
		want   string
	}{
		{"/", jwt.MapClaims{"roles": []any{"a", "b", 7, true}, "name": "에이다"}, "ada|a,b,7,true|에이다"},
		{"/", jwt.MapClaims{"sub": "x\r\nX-Admin: yes", "roles": []any{"user", "x,admin"}, "name": map[string]any{"first": "Ada"}}, "||"},
		{"/", jwt.MapClaims{"sub": nil, "roles": []any{}, "name": " "}, "||"},
		{"/public", nil, "||"},
	} {
		got := ask(c.path, c.claims)
		if seen := strings.Join(got["X-Auth-Subject"], "&") + "|" + strings.Join(got["X-Auth-Roles"], "&") + "|" + strings.Join(got["X-Auth-Name"], "&"); seen != c.want || got.Get("X-Admin") != "" {
			t.Errorf("%s with %v: the upstream sees %q", c.path, c.claims, seen)
		}
	}
}

func TestNewKeysAreFoundAndOldOnesServeWhileTheIssuerIsAway(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	keys := serve(t, i.ServeHTTP)
	e := start(t, site(echo(t), `      - {path: /, upstream: app, jwt: {jwks: "http://`+keys+`/keys", issuer: "https://login.example"}}`))
	client := e.client(true)
	status := func(token string) int {
		return do(t, client, http.MethodGet, "https://localhost/", http.Header{"Authorization": {"Bearer " + token}}, "").StatusCode
	}
	ec := i.token(t, "ec", jwt.SigningMethodES256, nil)
	if got := status(ec); got != http.StatusOK {
		t.Fatal(got)
	}
	i.change(func() { i.served = []string{"ec", "later"} })
	if got := status(i.token(t, "later", jwt.SigningMethodES256, nil)); got != http.StatusOK {
		t.Errorf("a token of a new key: %d", got)
	}
	if got := status(i.token(t, "rsa", jwt.SigningMethodRS256, nil)); got != http.StatusUnauthorized {
		t.Errorf("a token of a key that was taken back: %d", got)
	}
	before := i.fetches()
	for n := range 20 {
		if got := status(i.signed(t, fmt.Sprint("unknown", n), i.private["foreign"], jwt.SigningMethodRS256, nil, nil)); got != http.StatusUnauthorized {
			t.Errorf("a token of an unknown key: %d", got)
		}
	}
	if after := i.fetches(); after != before || after > 2 {
		t.Errorf("unknown keys made the edge fetch %d times, then %d times", before, after)
	}
	i.change(func() { i.down = true })
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := status(ec); got != http.StatusOK {
		t.Errorf("while the issuer is away: %d", got)
	}
}

func TestWithoutKeysNobodyPassesAndTheEdgeStartsAllTheSame(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.down = true
	keys := serve(t, i.ServeHTTP)
	e := start(t, site(echo(t), `      - {path: /, upstream: app, jwt: {jwks: "http://`+keys+`/keys", issuer: "https://login.example"}}
      - {path: /public, upstream: app}`))
	client := e.client(true)
	header := http.Header{"Authorization": {"Bearer " + i.token(t, "ec", jwt.SigningMethodES256, nil)}}
	if got := do(t, client, http.MethodGet, "https://localhost/", header, ""); got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
		t.Errorf("%d", got.StatusCode)
	}
	if got := do(t, client, http.MethodGet, "https://localhost/public", header, ""); got.StatusCode != http.StatusOK {
		t.Errorf("another route: %d", got.StatusCode)
	}
}

func TestALimitCountsByTheSubjectOfTheToken(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	file := filepath.Join(t.TempDir(), "keys.json")
	write(t, file, i.set())
	e := start(t, "rate_limits: {each: {rate: 1/h, key: jwt_subject}}\n"+
		site(echo(t), `      - {path: /, upstream: app, rate_limit: each, jwt: {jwks: `+file+`, issuer: "https://login.example"}}`))
	client := e.client(true)
	for n, c := range []struct {
		subject any
		status  int
	}{
		{"ada", http.StatusOK}, {"ada", http.StatusTooManyRequests}, {"bob", http.StatusOK}, {"127.0.0.1", http.StatusOK},
		{nil, http.StatusOK}, {nil, http.StatusTooManyRequests}, // by address
	} {
		header := http.Header{"Authorization": {"Bearer " + i.token(t, "ec", jwt.SigningMethodES256, jwt.MapClaims{"sub": c.subject, "n": n})}}
		if got := do(t, client, http.MethodGet, "https://localhost/", header, ""); got.StatusCode != c.status {
			t.Errorf("request %d: %d, want %d", n+1, got.StatusCode, c.status)
		}
	}
	if got := do(t, client, http.MethodGet, "https://localhost/", nil, ""); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %d", got.StatusCode)
	}
}
