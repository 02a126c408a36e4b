package expand

import (
	"strings"
	"testing"
)

// Whatever the text: nothing is lost between tokens, lines are right, and what stands in quotes or comments never becomes a
// statement.
func FuzzLex(f *testing.F) {
	for _, seed := range []string{
		"", "DROP TABLE x;", "'", "''", `"`, `E'\''`, "e'", "$$", "$a$", "$a$b$a$", "$1", "/*", "/* /* */", "--", "-- x\n", "`", "[", "]", "x$y$", "é$é$", "1e5", "\\", "a'b", "U&'x'", "\x00", "\xff'",
		"CREATE TRIGGER t BEGIN SELECT 1; END; SELECT 2", "CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; END; SELECT 2", "(", ")", "(;", "--bun:split\n", "a\n--bun:split\nb",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		for _, dialect := range []Dialect{Postgres, SQLite} {
			tokens, err := lex(dialect, sql)
			if err == nil {
				end := 0
				for _, token := range tokens {
					if strings.Trim(sql[end:token.start], " \t\r\n\f\v") != "" || token.text == "" || !strings.HasPrefix(sql[token.start:], token.text) {
						t.Fatalf("%q: a token %q at %d, after %d", sql, token.text, token.start, end)
					}
					if want := 1 + strings.Count(sql[:token.start], "\n"); token.line != want {
						t.Fatalf("%q: %q is in line %d, want %d", sql, token.text, token.line, want)
					}
					end = token.start + len(token.text)
				}
				if strings.Trim(sql[end:], " \t\r\n\f\v") != "" {
					t.Fatalf("%q: the end %q is lost", sql, sql[end:])
				}
			}
			Judge(dialect, nil, []File{{SQL: sql}})

			hidden := []string{"'" + strings.ReplaceAll(sql, "'", "''") + "'", `"` + strings.ReplaceAll(sql, `"`, `""`) + `"`}
			if !strings.Contains(sql, "/*") && !strings.Contains(sql, "*/") && !strings.HasSuffix(sql, "*") && !strings.HasSuffix(sql, "/") && !strings.HasPrefix(sql, "/") {
				hidden = append(hidden, "1 /*"+sql+"*/")
			}
			if !strings.Contains(sql, "\n") {
				hidden = append(hidden, "1 --"+sql+"\n")
			}
			if dialect == Postgres && !strings.Contains(sql, "$fuzz$") && !strings.HasSuffix(sql, "$fuzz") && !strings.HasSuffix(sql, "$") {
				hidden = append(hidden, "$fuzz$"+sql+"$fuzz$")
			}
			for _, text := range hidden {
				tokens, err := lex(dialect, "SELECT "+text+"; DROP TABLE posts")
				if err != nil {
					t.Fatalf("%q: %v", text, err)
				}
				found, err := split(dialect, tokens)
				if err != nil || len(found) != 2 || len(found[0].tokens) != 2 || found[1].String() != "DROP TABLE posts" {
					t.Fatalf("%q became %v, %v", text, found, err)
				}
			}
		}
	})
}
