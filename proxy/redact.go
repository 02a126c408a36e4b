package proxy

import (
	"net/url"
	"strings"
)

// Parameters of queries whose values are secrets: names that are one of these words, or that hold one of those.
var (
	secretNames = []string{"code", "key", "sig", "state", "pass", "pwd", "otp", "pin", "sid", "auth", "ticket", "nonce", "hmac", "hash", "samlrequest", "samlresponse"}
	secretParts = []string{
		"token", "secret", "passw", "passphrase", "signature", "credential", "apikey", "api_key", "api-key", "accesskey", "access_key", "access-key",
		"privatekey", "private_key", "session", "authorization", "assertion", "jwt",
	}
)

const (
	redacted   = "[redacted]"
	bareSecret = 32 // bytes of a parameter without a value from which it may be a secret itself
)

// appendRedacted appends a raw query with the values of secrets replaced. extra are further names of secrets.
func appendRedacted(into []byte, query string, extra []string) []byte {
	for query != "" {
		parameter, separator := query, ""
		if end := strings.IndexAny(query, "&;"); end >= 0 {
			parameter, separator, query = query[:end], query[end:end+1], query[end+1:]
		} else {
			query = ""
		}
		name, value, given := strings.Cut(parameter, "=")
		switch {
		case given && value != "" && (secretName(name, extra) || holdsSecret(value, extra)):
			into = append(append(append(into, name...), '='), redacted...)
		case !given && (len(name) >= bareSecret || holdsSecret(name, extra)):
			into = append(into, redacted...)
		default:
			into = append(into, parameter...)
		}
		into = append(into, separator...)
	}
	return into
}

// secretName tells whether the parameter of this name, as it stands in a query, is a secret.
func secretName(name string, extra []string) bool {
	if strings.ContainsAny(name, "%+") {
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
	}
	for _, word := range secretNames {
		if strings.EqualFold(name, word) {
			return true
		}
	}
	for _, word := range extra {
		if strings.EqualFold(name, word) {
			return true
		}
	}
	for _, part := range secretParts {
		if containsFold(name, part) {
			return true
		}
	}
	// Of user[password] and auth.code the last part counts.
	if last := strings.LastIndexAny(strings.TrimRight(name, "]"), "[."); last >= 0 {
		return secretName(strings.TrimRight(name[last+1:], "]"), extra)
	}
	return false
}

// holdsSecret tells whether a value is an address whose own query, or fragment, has a secret.
func holdsSecret(value string, extra []string) bool {
	for range 3 { // escaped so often
		if !strings.ContainsAny(value, "%=") {
			return false
		}
		decoded, err := url.QueryUnescape(value)
		if err != nil {
			return true // who knows what it is
		}
		for part := range strings.FieldsFuncSeq(decoded, func(c rune) bool { return strings.ContainsRune("?&;#", c) }) {
			if name, inner, given := strings.Cut(part, "="); given && inner != "" && secretName(name, extra) {
				return true
			}
		}
		if decoded == value {
			return false
		}
		value = decoded
	}
	return strings.Contains(value, "%")
}

// containsFold tells whether text holds a part of lower-case ASCII letters, in any case.
func containsFold(text, part string) bool {
	for i := 0; i+len(part) <= len(text); i++ {
		if strings.EqualFold(text[i:i+len(part)], part) {
			return true
		}
	}
	return false
}
