package guard

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// TraceparentValid tells whether a traceparent field has the form of W3C Trace Context, section 3.2: version 00 exactly, or a
// later version that begins like it.
func TraceparentValid[T []byte | string](value T) bool {
	if len(value) < 55 || value[2] != '-' || value[35] != '-' || value[52] != '-' {
		return false
	}
	version := string(value[:2])
	if version == "ff" || version == "00" && len(value) != 55 || len(value) > 55 && value[55] != '-' || len(value) > 128 {
		return false
	}
	return lowerHex(value[:2]) && lowerHex(value[3:35]) && lowerHex(value[36:52]) && lowerHex(value[53:55]) &&
		!zeros(value[3:35]) && !zeros(value[36:52])
}

// AppendTraceparent begins a trace of random ids, marked as sampled.
func AppendTraceparent(into []byte) []byte {
	// Ids have to differ, not to be secret. None is all zeros, which would make it invalid.
	var ids [24]byte
	binary.BigEndian.PutUint64(ids[:8], rand.Uint64())     //nolint:gosec // see above
	binary.BigEndian.PutUint64(ids[8:16], rand.Uint64()|1) //nolint:gosec // see above
	binary.BigEndian.PutUint64(ids[16:], rand.Uint64()|1)  //nolint:gosec // see above
	into = hex.AppendEncode(append(into, "00-"...), ids[:16])
	into = hex.AppendEncode(append(into, '-'), ids[16:])
	return append(into, "-01"...)
}

func lowerHex[T []byte | string](text T) bool {
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func zeros[T []byte | string](text T) bool {
	for i := range len(text) {
		if text[i] != '0' {
			return false
		}
	}
	return true
}
