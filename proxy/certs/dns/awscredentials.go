package dns

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

// awsCredentials chooses where credentials come from: the named file; else the environment, ~/.aws/credentials if it is there,
// the endpoint that a container was given, the role of the EC2 instance. What expires is got anew in time. The SDK's own search
// (its package config) also knows sign-ins of people, which an edge has no use for, and would make the program a fifth larger.
func awsCredentials(file string, getenv func(string) string) (aws.CredentialsProvider, error) {
	if file != "" {
		return profile(file, getenv)
	}
	if id, secret := getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"); id != "" && secret != "" {
		return credentials.NewStaticCredentialsProvider(id, secret, getenv("AWS_SESSION_TOKEN")), nil
	}
	shared := getenv("AWS_SHARED_CREDENTIALS_FILE")
	if home := getenv("HOME"); shared == "" && home != "" {
		shared = filepath.Join(home, ".aws", "credentials")
	}
	if shared != "" {
		if provider, err := profile(shared, getenv); !errors.Is(err, os.ErrNotExist) {
			return provider, err
		}
	}
	endpoint, err := containerEndpoint(getenv)
	if err != nil {
		return nil, err
	}
	if endpoint != "" {
		token := containerToken{getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN"), getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")}
		return aws.NewCredentialsCache(endpointcreds.New(endpoint, func(o *endpointcreds.Options) { o.AuthorizationTokenProvider = token })), nil
	}
	if strings.EqualFold(getenv("AWS_EC2_METADATA_DISABLED"), "true") {
		return nil, errors.New("neither the environment nor a file has any, and AWS_EC2_METADATA_DISABLED forbids to ask for the machine's role")
	}
	metadata := imds.New(imds.Options{Endpoint: getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT"), EnableFallback: aws.FalseTernary})
	return aws.NewCredentialsCache(ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = metadata })), nil
}

// profile reads the profile that AWS_PROFILE names, or "default", of a file of credentials at each use: a file that was
// replaced counts.
func profile(file string, getenv func(string) string) (aws.CredentialsProvider, error) {
	name := getenv("AWS_PROFILE")
	if name == "" {
		name = "default"
	}
	read := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return readProfile(file, name) })
	if _, err := readProfile(file, name); err != nil {
		return nil, err
	}
	return read, nil
}

func readProfile(file, name string) (aws.Credentials, error) {
	opened, err := os.Open(file)
	if err != nil {
		return aws.Credentials{}, err
	}
	defer opened.Close()
	values, err := section(opened, name)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("%s: %w", file, err)
	}
	found := aws.Credentials{
		AccessKeyID: values["aws_access_key_id"], SecretAccessKey: values["aws_secret_access_key"], SessionToken: values["aws_session_token"], Source: "profile",
	}
	if !found.HasKeys() {
		return aws.Credentials{}, fmt.Errorf("%s: the profile [%s] has no aws_access_key_id and aws_secret_access_key", file, name)
	}
	return found, nil
}

// section reads the keys of a section of an INI file.
func section(from io.Reader, name string) (map[string]string, error) {
	values, within := map[string]string{}, false
	lines := bufio.NewScanner(io.LimitReader(from, mostAnswer))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			within = strings.TrimSpace(strings.Trim(line, "[]")) == name
		case within:
			key, value, _ := strings.Cut(line, "=")
			values[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
	}
	return values, lines.Err()
}

// eksOverIPv6 is where the EKS Pod Identity agent answers, on the node itself, in clusters of IPv6.
var eksOverIPv6 = net.ParseIP("fd00:ec2::23")

// containerEndpoint is where ECS and EKS tell a container to ask, "" for nowhere. Credentials are asked for only within the
// machine or by HTTPS.
func containerEndpoint(getenv func(string) string) (string, error) {
	if relative := getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); relative != "" {
		return "http://169.254.170.2" + relative, nil
	}
	full := getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	if full == "" {
		return "", nil
	}
	parsed, err := url.Parse(full)
	if err != nil {
		return "", errors.New("AWS_CONTAINER_CREDENTIALS_FULL_URI is no URL")
	}
	if ip := net.ParseIP(parsed.Hostname()); parsed.Scheme != "https" && (ip == nil || !ip.IsLoopback() && !ip.IsLinkLocalUnicast() && !ip.Equal(eksOverIPv6)) {
		return "", fmt.Errorf("AWS_CONTAINER_CREDENTIALS_FULL_URI names %s without HTTPS: only addresses of the machine itself may", parsed.Host)
	}
	return full, nil
}

// containerToken is what a container proves itself by to its endpoint: a text, or a file that is written anew.
type containerToken struct{ text, file string }

// GetToken implements endpointcreds.AuthTokenProvider.
func (t containerToken) GetToken() (string, error) {
	if t.file == "" {
		return t.text, nil
	}
	text, err := os.ReadFile(t.file)
	return strings.TrimSpace(string(text)), err
}
