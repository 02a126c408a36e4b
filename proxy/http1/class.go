package http1

import (
	"encoding/binary"
	"math/bits"
)

// Classes of bytes.
const (
	inToken  = 1 << iota // tchar of RFC 9110 section 5.6.2
	inTarget             // what may stand in a request target: no white space, control character or fragment
	isDigit
)

var classes = func() (table [256]uint8) {
	for c := range table {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		if letter || digit {
			table[c] |= inToken
		}
		if digit {
			table[c] |= isDigit
		}
		if c > ' ' && c != 0x7f && c != '#' {
			table[c] |= inTarget
		}
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		table[c] |= inToken
	}
	return table
}()

// all tells whether text has bytes of this class only.
func all(text []byte, class uint8) bool {
	for _, c := range text {
		if classes[c]&class == 0 {
			return false
		}
	}
	return true
}

func token(text []byte) bool { return len(text) > 0 && all(text, inToken) }

const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// control is where the first control character stands, DEL among them; len(text) when there is none. It looks at eight
// bytes at a time: a byte's high bit is set in mask when it is below a space, or DEL. Only the lowest one that is set says
// the truth, since a subtraction may borrow from the byte above.
func control(text []byte) int {
	i := 0
	for ; i+8 <= len(text); i += 8 {
		word := binary.LittleEndian.Uint64(text[i:])
		del := word ^ 0x7f*ones
		if mask := ((word-0x20*ones)&^word | (del-ones)&^del) & highs; mask != 0 {
			return i + bits.TrailingZeros64(mask)/8
		}
	}
	for ; i < len(text); i++ {
		if text[i] < ' ' || text[i] == 0x7f {
			return i
		}
	}
	return i
}

// trim cuts white space off both ends (OWS of RFC 9110 section 5.6.3).
func trim(text []byte) []byte {
	for len(text) > 0 && blank(text[0]) {
		text = text[1:]
	}
	for len(text) > 0 && blank(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	return text
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// hex is the value of a hexadecimal digit; 16 and more for anything else.
func hex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	default:
		return 16
	}
}
