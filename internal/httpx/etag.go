package httpx

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// ETag is an entity tag (RFC 9110 section 8.8.3) made of a representation's JSON.
func ETag(representation any) (string, error) {
	raw, err := json.Marshal(representation)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(raw)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, nil
}

// HasETag tells whether the value of If-Match or If-None-Match names tag. A weak mark is overlooked: a proxy that compresses
// sets it, and a tag of ours still means this very representation.
func HasETag(header, tag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == tag || candidate == "*" {
			return true
		}
	}
	return false
}
