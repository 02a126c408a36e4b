package config

import (
	"fmt"
	"strconv"
	"strings"
)

// SecurityHeaders are fields that tell browsers to be careful with a site's pages. Each is put on the answers that lack it.
// After Load, "" stands for one that is not sent.
type SecurityHeaders struct {
	StrictTransportSecurity string `yaml:"strict_transport_security"`
	ContentTypeOptions      string `yaml:"content_type_options"`
	ReferrerPolicy          string `yaml:"referrer_policy"`
	FrameOptions            string `yaml:"frame_options"`
	ContentSecurityPolicy   string `yaml:"content_security_policy"`
	PermissionsPolicy       string `yaml:"permissions_policy"`
}

// off stands in the file for a field that is not to be sent.
const off = "false"

// UnmarshalText reads false, which switches all of them off, and true.
func (s *SecurityHeaders) UnmarshalText(text []byte) error {
	switch string(text) {
	case "true":
	case off:
		*s = SecurityHeaders{off, off, off, off, off, off}
	default:
		return fmt.Errorf("%q is neither false nor keys such as {frame_options: DENY}", text)
	}
	return nil
}

// fillIn chooses what no site minds. A browser that was told to use HTTPS alone lets nobody past a certificate that it does
// not trust, and the local authority is not trusted by everybody: there, only who asks for it gets it.
func (s *SecurityHeaders) fillIn(issuer string) {
	pinned := "max-age=2592000"
	if issuer == IssuerLocal {
		pinned = off
	}
	for _, field := range []struct {
		value    *string
		standard string
	}{
		{&s.StrictTransportSecurity, pinned},
		{&s.ContentTypeOptions, "nosniff"},
		{&s.ReferrerPolicy, "strict-origin-when-cross-origin"},
		{&s.FrameOptions, "SAMEORIGIN"},
		{&s.ContentSecurityPolicy, off},
		{&s.PermissionsPolicy, off},
	} {
		switch *field.value {
		case "":
			*field.value = strings.TrimSuffix(field.standard, off)
		case off:
			*field.value = ""
		}
	}
}

func (c *checker) securityHeaders(path string, fields SecurityHeaders) {
	c.pinning(path+".strict_transport_security", fields.StrictTransportSecurity)
	for key, value := range map[string]string{
		"content_security_policy": fields.ContentSecurityPolicy, "permissions_policy": fields.PermissionsPolicy,
	} {
		c.fieldValue(path+"."+key, value)
	}
	for _, key := range []struct {
		name, value string
		known       []string
	}{
		{"content_type_options", fields.ContentTypeOptions, []string{"nosniff"}},
		{"frame_options", fields.FrameOptions, []string{"SAMEORIGIN", "DENY"}},
		{"referrer_policy", fields.ReferrerPolicy, []string{
			"no-referrer", "no-referrer-when-downgrade", "origin", "origin-when-cross-origin", "same-origin", "strict-origin",
			"strict-origin-when-cross-origin", "unsafe-url",
		}},
	} {
		if key.value != "" {
			c.oneOf(path+"."+key.name, key.value, append(key.known, off)...)
		}
	}
}

// aYear is what lists of preloaded hosts want at least, in seconds.
const aYear = 31_536_000

// pinning checks Strict-Transport-Security (RFC 6797 section 6.1).
func (c *checker) pinning(path, value string) {
	if value == "" {
		return
	}
	age, subdomains, preload := int64(-1), false, false
	for part := range strings.SplitSeq(value, ";") {
		name, number, _ := strings.Cut(strings.TrimSpace(part), "=")
		var err error
		switch strings.ToLower(name) {
		case "max-age":
			age, err = strconv.ParseInt(number, 10, 32)
		case "includesubdomains":
			subdomains = true
		case "preload":
			preload = true
		default:
			err = fmt.Errorf("unknown directive %q", name)
		}
		if err != nil {
			age = -1
			break
		}
	}
	switch {
	case age < 0:
		c.doc.Faultf(path, "%s: %q is not max-age=SECONDS, with ; includeSubDomains and ; preload if wanted", path, value)
	case preload && (!subdomains || age < aYear):
		c.doc.Faultf(path, "%s: preload wants includeSubDomains and a max-age of %d or more", path, aYear)
	}
}
