package guard

import (
	"slices"
	"strings"

	"github.com/portico-web/portico/proxy/message"
)

// Asserted are the names of the fields by which the edge tells upstreams what it found out about a client. No client may
// write them. The zero value is none.
type Asserted struct{ folded []string }

// Assert makes the set of these names.
func Assert(names ...string) Asserted {
	var a Asserted
	for _, name := range names {
		a.folded = append(a.folded, strings.Map(func(c rune) rune { return rune(fold(byte(c))) }, name))
	}
	return a
}

// None tells whether the set is empty.
func (a Asserted) None() bool { return len(a.folded) == 0 }

// And is the set with more names.
func (a Asserted) And(names ...string) Asserted {
	return Asserted{slices.Concat(a.folded, Assert(names...).folded)}
}

// Holds tells whether a field's name is one of them, or may be read as one: in any case, and with any sign for a hyphen, since
// a CGI and its heirs make the same variable of all.
func (a Asserted) Holds(name []byte) bool {
	for _, folded := range a.folded {
		if len(folded) == len(name) && folds(name, folded) {
			return true
		}
	}
	return false
}

func folds(name []byte, folded string) bool {
	for i, c := range name {
		if fold(c) != folded[i] {
			return false
		}
	}
	return true
}

func fold(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	default:
		return '-'
	}
}

// CheckAsserted tells whether the edge may tell something by a field of this name: not by one that HTTP or the edge itself
// needs, except Authorization. why is "" when it may.
func CheckAsserted(name string) (why string) {
	switch known := message.Known(name); {
	case !IsToken(name):
		return "is not the name of a field"
	case strings.Contains(name, "_"):
		return "has an underscore, which many applications take for a hyphen: write it with hyphens"
	case known != message.Other && known != message.Authorization:
		return "is a field that HTTP or the edge itself writes: choose another name, such as X-Auth-User"
	}
	return ""
}
