package document

import (
	"fmt"
	"strings"
)

// expand replaces ${VAR} by the variable's content and ${VAR:-default} by the default when the variable is unset or empty.
// $${ stands for a literal ${. What a variable holds is not looked at again.
func expand(source string, lookup func(string) (string, bool)) (string, error) {
	var expanded strings.Builder
	for {
		start := strings.Index(source, "${")
		if start < 0 {
			expanded.WriteString(source)
			return expanded.String(), nil
		}
		if start > 0 && source[start-1] == '$' {
			expanded.WriteString(source[:start-1] + "${")
			source = source[start+2:]
			continue
		}
		expanded.WriteString(source[:start])
		reference, rest, closed := strings.Cut(source[start+2:], "}")
		if !closed {
			return "", fmt.Errorf("%q has no closing brace: write ${NAME}, ${NAME:-default}, or $${ for a literal ${", source[start:])
		}
		value, err := valueOf(reference, lookup)
		if err != nil {
			return "", err
		}
		expanded.WriteString(value)
		source = rest
	}
}

func valueOf(reference string, lookup func(string) (string, bool)) (string, error) {
	name, fallback, hasFallback := strings.Cut(reference, ":-")
	if !validName(name) {
		return "", fmt.Errorf("${%s} does not name a variable: write ${NAME}, ${NAME:-default}, or $${ for a literal ${", reference)
	}
	if strings.Contains(fallback, "${") {
		return "", fmt.Errorf("the default of ${%s is itself a variable: defaults are plain text", name)
	}
	value, set := lookup(name)
	switch {
	case hasFallback && value == "":
		return fallback, nil
	case !set:
		return "", fmt.Errorf("the variable %s is not set: set it, or give a default as ${%s:-default}", name, name)
	default:
		return value, nil
	}
}

func validName(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
