package expand

import (
	"fmt"
	"strings"
)

// statement is one statement of a file, without comments.
type statement struct {
	tokens []token
	line   int    // of the file
	review string // the reason that a reviewer gave on the line before
}

const reviewMark = "expand: reviewed:"

// statements cuts a file as bun and the database do: first at the lines --bun:split, whatever they stand in, then at semicolons.
func statements(dialect Dialect, sql string) ([]statement, error) {
	var all []statement
	first := 1
	chunk := func(lines []string, line int) error {
		tokens, err := lex(dialect, strings.Join(lines, ""))
		if err != nil {
			return err
		}
		for i := range tokens {
			tokens[i].line += line - 1
		}
		found, err := split(dialect, tokens)
		all = append(all, found...)
		return err
	}
	lines := strings.SplitAfter(sql, "\n")
	for i, line := range lines {
		if strings.TrimRight(line, "\r\n") == "--bun:split" {
			if err := chunk(lines[first-1:i], first); err != nil {
				return nil, err
			}
			first = i + 2
		}
	}
	return all, chunk(lines[min(first-1, len(lines)):], first)
}

// split cuts tokens at the semicolons that end a statement.
func split(dialect Dialect, tokens []token) ([]statement, error) {
	var all []statement
	var now statement
	var remark token // the last comment before the statement
	depth := 0
	end := func() {
		if len(now.tokens) > 0 {
			all = append(all, now)
		}
		now = statement{}
	}
	for _, token := range tokens {
		if token.kind == comment {
			remark = token
			continue
		}
		if token.text == ";" && depth == 0 && !now.goesOn(dialect) {
			end()
			continue
		}
		if len(now.tokens) == 0 {
			now.line = token.line
			now.review = reviewOf(remark, token.line)
			remark = token // a review is for one statement
		}
		now.tokens = append(now.tokens, token)
		switch token.text {
		case "(":
			depth++
		case ")":
			if depth--; depth < 0 {
				return nil, fmt.Errorf("line %d: a parenthesis closes that was not opened", token.line)
			}
		}
	}
	if depth > 0 {
		return nil, fmt.Errorf("line %d: a parenthesis is not closed", now.line)
	}
	end()
	return all, nil
}

// goesOn tells whether a semicolon here stands within the statement: in the body of a trigger (SQLite) or of a function that is
// written in SQL (PostgreSQL).
func (s statement) goesOn(dialect Dialect) bool {
	r := reader{tokens: s.tokens}
	if !r.accept("CREATE") {
		return false
	}
	if dialect == SQLite {
		_ = r.accept("TEMP") || r.accept("TEMPORARY")
		last := len(s.tokens) - 1
		return r.accept("TRIGGER") && !(s.tokens[last].is("END") && s.tokens[last-1].text == ";")
	}
	r.accept("OR", "REPLACE")
	if !r.accept("FUNCTION") && !r.accept("PROCEDURE") {
		return false
	}
	open := 0
	for i, token := range s.tokens {
		switch {
		case token.is("BEGIN") && i+1 < len(s.tokens) && s.tokens[i+1].is("ATOMIC"), token.is("CASE") && open > 0:
			open++
		case token.is("END") && open > 0:
			open--
		}
	}
	return open > 0
}

// reviewOf is the reason in a comment that stands on the line before a statement, or "".
func reviewOf(found token, line int) string {
	said, ok := strings.CutPrefix(found.text, "--")
	if !ok || found.kind != comment || found.line != line-1 {
		return ""
	}
	reason, ok := strings.CutPrefix(strings.TrimSpace(said), reviewMark)
	if !ok {
		return ""
	}
	return strings.TrimSpace(reason)
}

// String is the statement in one line, shortened.
func (s statement) String() string {
	const enough = 80
	var b strings.Builder
	end := 0
	for i, token := range s.tokens {
		if i > 0 && token.start > end {
			b.WriteByte(' ')
		}
		b.WriteString(strings.Join(strings.Fields(token.text), " "))
		end = token.start + len(token.text)
		if b.Len() > enough {
			return strings.ToValidUTF8(b.String()[:enough], "") + "…"
		}
	}
	return b.String()
}

// reader reads the tokens of a statement from its beginning.
type reader struct {
	tokens []token
	at     int
}

// accept moves behind the keywords if they come next, all of them.
func (r *reader) accept(keywords ...string) bool {
	if r.at+len(keywords) > len(r.tokens) {
		return false
	}
	for i, keyword := range keywords {
		if t := r.tokens[r.at+i]; !t.is(keyword) && !(t.kind == symbol && t.text == keyword) {
			return false
		}
	}
	r.at += len(keywords)
	return true
}

// any moves behind one of the keywords and returns it, or "".
func (r *reader) any(keywords ...string) string {
	for _, keyword := range keywords {
		if r.accept(keyword) {
			return keyword
		}
	}
	return ""
}

// has tells whether the keywords stand in this order, side by side, somewhere outside of parentheses from here on.
func (r *reader) has(keywords ...string) bool {
	depth := 0
	for look := *r; look.at < len(look.tokens); look.at++ {
		switch look.tokens[look.at].text {
		case "(":
			depth++
		case ")":
			depth--
		}
		if trial := look; depth == 0 && trial.accept(keywords...) {
			return true
		}
	}
	return false
}

// name moves behind a name, maybe with its schema, and returns it as the dialect compares names; "" when there is none.
func (r *reader) name(dialect Dialect) string {
	var parts []string
	for r.at < len(r.tokens) && (r.tokens[r.at].kind == word || r.tokens[r.at].kind == quoted) {
		t := r.tokens[r.at]
		r.at++
		part := t.text
		if t.kind == quoted {
			part = part[1 : len(part)-1]
		}
		if t.kind == word || dialect == SQLite {
			part = strings.ToLower(part)
		}
		parts = append(parts, part)
		if !r.accept(".") {
			break
		}
	}
	if len(parts) == 2 && (parts[0] == "public" && dialect == Postgres || parts[0] == "main" && dialect == SQLite) {
		parts = parts[1:]
	}
	return strings.Join(parts, ".")
}

// parts cuts what is left at the commas outside of parentheses.
func (r *reader) parts() []reader {
	var all []reader
	depth, first := 0, r.at
	for ; r.at < len(r.tokens); r.at++ {
		switch r.tokens[r.at].text {
		case "(", "[":
			depth++
		case ")", "]":
			depth--
		case ",":
			if depth == 0 {
				all = append(all, reader{tokens: r.tokens[first:r.at]})
				first = r.at + 1
			}
		}
	}
	return append(all, reader{tokens: r.tokens[first:]})
}
