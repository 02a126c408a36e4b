package expand

import (
	"fmt"
	"strings"
)

// kind is what a token is.
type kind int

const (
	word    kind = iota // a keyword or a name without quotes
	quoted              // a name in quotes
	text                // a string, in quotes or dollar quotes
	number              // a number or a parameter
	symbol              // one other character
	comment             // a comment, with its marks
)

// token is a piece of SQL; everything between two tokens is white space.
type token struct {
	kind  kind
	text  string // as it is written
	start int    // offset
	line  int    // where it begins, from 1
}

// is tells whether the token is this keyword, given in upper case.
func (t token) is(keyword string) bool { return t.kind == word && strings.EqualFold(t.text, keyword) }

// lexer reads SQL as the dialect's own parser does, as far as it matters for where strings, names and comments end.
type lexer struct {
	dialect Dialect
	text    string
	at      int
}

// lex cuts SQL into tokens.
func lex(dialect Dialect, sql string) ([]token, error) {
	l := &lexer{dialect: dialect, text: sql}
	var tokens []token
	line, counted := 1, 0
	for {
		l.skipSpace()
		if l.at == len(l.text) {
			return tokens, nil
		}
		start := l.at
		line += strings.Count(l.text[counted:start], "\n")
		counted = start
		found, ok := l.next()
		if !ok {
			return nil, fmt.Errorf("line %d: %.20q does not end", line, l.text[start:])
		}
		tokens = append(tokens, token{kind: found, text: l.text[start:l.at], start: start, line: line})
	}
}

func (l *lexer) skipSpace() {
	for l.at < len(l.text) && strings.IndexByte(" \t\r\n\f\v", l.text[l.at]) >= 0 {
		l.at++
	}
}

// next moves behind the token that begins here. It returns false when the token has no end.
func (l *lexer) next() (kind, bool) {
	rest := l.text[l.at:]
	c := rest[0]
	switch {
	case strings.HasPrefix(rest, "--"):
		l.at += len(rest)
		if end := strings.IndexByte(rest, '\n'); end >= 0 {
			l.at -= len(rest) - end
		}
		return comment, true
	case strings.HasPrefix(rest, "/*"):
		return comment, l.blockComment()
	case c == '\'':
		return text, l.quotes('\'', false)
	case c == '"':
		return quoted, l.quotes('"', false)
	case c == '`' && l.dialect == SQLite:
		return quoted, l.quotes('`', false)
	case c == '[' && l.dialect == SQLite:
		return quoted, l.through("]")
	case c == '$' && l.dialect == Postgres:
		if tag := dollarTag(rest); tag != "" {
			l.at += len(tag)
			return text, l.through(tag)
		}
		l.at++
		return symbol, true
	case beginsName(c):
		l.skipName()
		if l.dialect == Postgres && (strings.HasPrefix(rest, "E'") || strings.HasPrefix(rest, "e'")) {
			return text, l.quotes('\'', true)
		}
		return word, true
	case '0' <= c && c <= '9':
		l.skipName()
		return number, true
	default:
		l.at++
		return symbol, true
	}
}

func beginsName(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c >= 0x80
}

func (l *lexer) skipName() {
	for l.at < len(l.text) && (beginsName(l.text[l.at]) || '0' <= l.text[l.at] && l.text[l.at] <= '9' || l.text[l.at] == '$') {
		l.at++
	}
}

// quotes moves behind what stands in quotes, where a doubled quote stands for itself.
func (l *lexer) quotes(mark byte, escapes bool) bool {
	for l.at++; l.at < len(l.text); l.at++ {
		switch {
		case escapes && l.text[l.at] == '\\':
			l.at++
		case l.text[l.at] != mark:
		case l.at+1 < len(l.text) && l.text[l.at+1] == mark:
			l.at++
		default:
			l.at++
			return true
		}
	}
	l.at = len(l.text)
	return false
}

// through moves behind the next end.
func (l *lexer) through(end string) bool {
	found := strings.Index(l.text[l.at:], end)
	if found < 0 {
		l.at = len(l.text)
		return false
	}
	l.at += found + len(end)
	return true
}

// blockComment moves behind a comment; PostgreSQL nests them.
func (l *lexer) blockComment() bool {
	l.at += len("/*")
	if l.dialect == SQLite {
		return l.through("*/")
	}
	for depth := 1; depth > 0; {
		rest := l.text[l.at:]
		opens, closes := strings.Index(rest, "/*"), strings.Index(rest, "*/")
		switch {
		case closes < 0:
			l.at = len(l.text)
			return false
		case opens >= 0 && opens < closes:
			depth++
			l.at += opens + len("/*")
		default:
			depth--
			l.at += closes + len("*/")
		}
	}
	return true
}

// dollarTag is the mark $tag$ that the text begins with, or "".
func dollarTag(text string) string {
	end := strings.IndexByte(text[1:], '$') + 1
	if end == 0 {
		return ""
	}
	for i, c := range []byte(text[1:end]) {
		if !beginsName(c) && (i == 0 || c < '0' || c > '9') {
			return ""
		}
	}
	return text[:end+1]
}
