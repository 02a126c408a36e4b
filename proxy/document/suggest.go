package document

import (
	"fmt"
	"slices"
	"strings"
)

// Suggest ends a message about an unknown name: with the nearest known one, or, when none is near, with all of them.
func Suggest(name string, known []string) string {
	nearest, least := "", len(name)/3+2
	for _, candidate := range known {
		if distance := editDistance(strings.ToLower(name), strings.ToLower(candidate)); distance < least {
			nearest, least = candidate, distance
		}
	}
	switch {
	case nearest != "":
		return fmt.Sprintf(" (did you mean %q?)", nearest)
	case len(known) == 0:
		return ""
	default:
		sorted := slices.Sorted(slices.Values(known))
		return " (known: " + strings.Join(sorted, ", ") + ")"
	}
}

// editDistance counts insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	before, previous, current := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			current[j] = min(previous[j]+1, current[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(b)]
}
