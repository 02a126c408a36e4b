package account

import (
	"errors"
	"strings"

	"golang.org/x/net/idna"
)

const invalidEmail = "Enter a valid email address."

var errInvalidEmail = errors.New("not an email address")

// emailAddress is an address that mail can be sent to. text is as its owner wrote it, with the domain in lower case (and in
// ASCII, RFC 5891); key is all of it in lower case and tells whether two are the same.
type emailAddress struct{ text, key string }

// parseEmail takes addresses of the form atom(.atom)*@domain of ASCII atoms (RFC 5322, section 3.2.3, without quoted local
// parts) with a domain of at least two labels, or localhost. White space around it is dropped.
func parseEmail(raw string) (emailAddress, error) {
	raw = strings.TrimSpace(raw)
	at := strings.LastIndexByte(raw, '@')
	if len(raw) > maxEmail || at < 1 || at > 64 {
		return emailAddress{}, errInvalidEmail
	}
	local := raw[:at]
	for _, atom := range strings.Split(local, ".") {
		if atom == "" || strings.Trim(atom, atomCharacters) != "" {
			return emailAddress{}, errInvalidEmail
		}
	}
	domain, err := idna.Lookup.ToASCII(strings.ToLower(raw[at+1:]))
	if err != nil || !validDomain(domain) || len(local)+1+len(domain) > maxEmail {
		return emailAddress{}, errInvalidEmail
	}
	text := local + "@" + domain
	return emailAddress{text: text, key: strings.ToLower(text)}, nil
}

const (
	letters        = "abcdefghijklmnopqrstuvwxyz"
	digits         = "0123456789"
	atomCharacters = letters + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + digits + "!#$%&'*+-/=?^_`{|}~"
)

// validDomain checks a lower-case ASCII name (RFC 1123, section 2.1). A last label of digits would be an IPv4 address.
func validDomain(domain string) bool {
	if domain == "localhost" {
		return true
	}
	labels := strings.Split(domain, ".")
	if len(labels) < 2 || len(domain) > 253 {
		return false
	}
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, letters+digits+"-") != "" {
			return false
		}
	}
	last := labels[len(labels)-1]
	return len(last) >= 2 && strings.Trim(last, digits) != ""
}
