package guard

import (
	"crypto/rand"
	"encoding/hex"
)

// TraceparentValid tells whether a traceparent field has the form of W3C Trace Context, section 3.2: version 00 exactly, or a
// later version that begins like it.
func TraceparentValid(value string) bool {
	if len(value) < 55 || value[2] != '-' || value[35] != '-' || value[52] != '-' {
		return false
	}
	version := value[:2]
	if version == "ff" || version == "00" && len(value) != 55 || len(value) > 55 && value[55] != '-' || len(value) > 128 {
		return false
	}
	return lowerHex(version) && lowerHex(value[3:35]) && lowerHex(value[36:52]) && lowerHex(value[53:55]) &&
		!zeros(value[3:35]) && !zeros(value[36:52])
}

// NewTraceparent begins a trace of random ids, marked as sampled.
func NewTraceparent() string {
	var ids [24]byte
	for {
		_, _ = rand.Read(ids[:]) // never fails
		value := "00-" + hex.EncodeToString(ids[:16]) + "-" + hex.EncodeToString(ids[16:]) + "-01"
		if TraceparentValid(value) {
			return value
		}
	}
}

func lowerHex(text string) bool {
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func zeros(text string) bool {
	for i := range len(text) {
		if text[i] != '0' {
			return false
		}
	}
	return true
}
