// Package lang chooses between the languages that end users read, Korean and English, and holds the translations.
// English texts stand in the code and are the keys of the catalogue.
package lang

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"

	"golang.org/x/text/language"
)

//go:embed ko.json
var koreanJSON []byte

var (
	korean  = mustLoad(koreanJSON)
	matcher = language.NewMatcher([]language.Tag{language.English, language.Korean})
)

func mustLoad(raw []byte) map[string]string {
	var texts map[string]string
	if err := json.Unmarshal(raw, &texts); err != nil {
		panic(fmt.Sprintf("lang: ko.json: %v", err))
	}
	return texts
}

// Lang is one of the languages: "en" or "ko".
type Lang string

const (
	English Lang = "en"
	Korean  Lang = "ko"
)

// Text is the translation of an English text, or that text itself when there is none.
func (l Lang) Text(english string) string {
	if l == Korean {
		if text, ok := korean[english]; ok {
			return text
		}
	}
	return english
}

// Textf translates format and then fills it in, as fmt.Sprintf does.
func (l Lang) Textf(format string, values ...any) string {
	return fmt.Sprintf(l.Text(format), values...)
}

type contextKey struct{}

// Of is the language that WithLang chose for a request; English outside of one.
func Of(ctx context.Context) Lang {
	if l, ok := ctx.Value(contextKey{}).(Lang); ok {
		return l
	}
	return English
}

// Cookie names the cookie by which a person chooses a language for the pages; it beats Accept-Language.
const Cookie = "lang"

// WithLang negotiates the language of each request (RFC 9110 section 12.5.4) and says so in Content-Language and Vary.
func WithLang(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chosen := ""
		if cookie, err := r.Cookie(Cookie); err == nil {
			chosen = cookie.Value
		}
		l := English
		if tag, _ := language.MatchStrings(matcher, chosen, r.Header.Get("Accept-Language")); tagIsKorean(tag) {
			l = Korean
		}
		w.Header().Set("Content-Language", string(l))
		w.Header().Add("Vary", "Accept-Language")
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, l)))
	})
}

func tagIsKorean(tag language.Tag) bool {
	base, _ := tag.Base()
	return base.String() == "ko"
}
