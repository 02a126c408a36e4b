package account

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/lang"
)

const blank = "This field may not be blank."

// checkName trims a name that people see, and notes in faults what is wrong with it.
func checkName(ctx context.Context, faults *fault.Error, field, value string, limit int) string {
	value = strings.TrimSpace(value)
	switch {
	case !utf8.ValidString(value):
		faults.With(field, "Not a valid string.")
	case strings.ContainsRune(value, 0):
		faults.With(field, "Null characters are not allowed.")
	case strings.ContainsFunc(value, unicode.IsControl):
		faults.With(field, "Control characters are not allowed.")
	case utf8.RuneCountInString(value) > limit:
		faults.With(field, lang.Of(ctx).Textf("Ensure this field has no more than %d characters.", limit))
	}
	return value
}

// storable makes a text that a client's software sent fit for a column: valid UTF-8, no control characters, at most limit
// characters.
func storable(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	if utf8.RuneCountInString(text) > limit {
		text = string([]rune(text)[:limit])
	}
	return text
}

// text is an English text in the language of ctx.
func text(ctx context.Context, english string) string { return lang.Of(ctx).Text(english) }
