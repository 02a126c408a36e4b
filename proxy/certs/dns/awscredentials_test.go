package dns

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// metadata speaks the part of the instance metadata service, version 2, and of a container's endpoint that give out credentials.
func metadata(t *testing.T) (address string) {
	t.Helper()
	expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			w.Header().Set("X-aws-ec2-metadata-token-ttl-seconds", "21600")
			fmt.Fprint(w, "session")
		case r.URL.Path == "/container" && r.Header.Get("Authorization") == "container token":
			fmt.Fprintf(w, `{"AccessKeyId":"CONTAINER","SecretAccessKey":"s","Token":"t","Expiration":%q}`, expires)
		case r.Header.Get("X-aws-ec2-metadata-token") != "session":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/latest/meta-data/iam/security-credentials/":
			fmt.Fprint(w, "edge")
		case r.URL.Path == "/latest/meta-data/iam/security-credentials/edge":
			fmt.Fprintf(w, `{"Code":"Success","AccessKeyId":"ROLE","SecretAccessKey":"s","Token":"t","Expiration":%q}`, expires)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCredentialsAreFoundInTheDocumentedOrder(t *testing.T) {
	t.Parallel()
	address, home := metadata(t), t.TempDir()
	shared := write(t, filepath.Join(home, ".aws", "credentials"), "# people\n[other]\naws_access_key_id=OTHER\naws_secret_access_key=s\n\n[default]\naws_access_key_id = SHARED\naws_secret_access_key = s=with=signs\n")
	token := write(t, filepath.Join(home, "token"), "container token\n")
	for name, test := range map[string]struct {
		file    string
		environ map[string]string
		id      string
		secret  string
	}{
		"the named file before the environment":  {shared, map[string]string{"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s"}, "SHARED", "s=with=signs"},
		"a profile of it":                        {shared, map[string]string{"AWS_PROFILE": "other"}, "OTHER", "s"},
		"the environment before the shared file": {"", map[string]string{"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s", "HOME": home}, "ENV", "s"},
		"the shared file":                        {"", map[string]string{"HOME": home}, "SHARED", "s=with=signs"},
		"a shared file elsewhere":                {"", map[string]string{"AWS_SHARED_CREDENTIALS_FILE": shared}, "SHARED", "s=with=signs"},
		"a container's endpoint":                 {"", map[string]string{"HOME": "/nowhere", "AWS_CONTAINER_CREDENTIALS_FULL_URI": address + "/container", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": token}, "CONTAINER", "s"},
		"the instance's role":                    {"", map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": address}, "ROLE", "s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			provider, err := awsCredentials(test.file, func(name string) string { return test.environ[name] })
			if err != nil {
				t.Fatal(err)
			}
			found, err := provider.Retrieve(t.Context())
			if err != nil || found.AccessKeyID != test.id || found.SecretAccessKey != test.secret {
				t.Errorf("found %s with %q (%v), want %s with %q", found.AccessKeyID, found.SecretAccessKey, err, test.id, test.secret)
			}
		})
	}
}

func TestCredentialsThatCannotBeFoundAreExplained(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	empty := write(t, filepath.Join(folder, "empty"), "[default]\naws_access_key_id = A\n")
	for name, test := range map[string]struct {
		file    string
		environ map[string]string
		tells   string
	}{
		"a file that is not there":   {filepath.Join(folder, "none"), nil, "no such file"},
		"a profile without a secret": {empty, nil, "the profile [default] has no aws_access_key_id and aws_secret_access_key"},
		"a profile that is unknown":  {empty, map[string]string{"AWS_PROFILE": "ops"}, "the profile [ops] has no"},
		"an endpoint elsewhere":      {"", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://203.0.113.7/x"}, "only addresses of the machine itself"},
		"no machine to ask":          {"", map[string]string{"AWS_EC2_METADATA_DISABLED": "true"}, "AWS_EC2_METADATA_DISABLED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := awsCredentials(test.file, func(name string) string { return test.environ[name] })
			if err == nil || !strings.Contains(err.Error(), test.tells) {
				t.Errorf("told %v, want %q", err, test.tells)
			}
		})
	}
}

func TestAContainersEndpointIsWhereTheEnvironmentSays(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		environ map[string]string
		want    string
	}{
		"ECS":           {map[string]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/1"}, "http://169.254.170.2/v2/credentials/1"},
		"ECS before":    {map[string]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://elsewhere.test/"}, "http://169.254.170.2/v2"},
		"EKS":           {map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"}, "http://169.254.170.23/v1/credentials"},
		"EKS over IPv6": {map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[fd00:ec2::23]/v1/credentials"}, "http://[fd00:ec2::23]/v1/credentials"},
		"none":          {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, err := containerEndpoint(func(name string) string { return test.environ[name] })
			if err != nil || found != test.want {
				t.Errorf("containerEndpoint: %q, %v; want %q", found, err, test.want)
			}
		})
	}
}
