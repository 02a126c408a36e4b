package web_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/portico-web/portico/internal/lang"
)

// Texts that a reader sees: those of templates, and those that handlers hand to them.
var (
	inTemplates = regexp.MustCompile(`\b(?:t|tf) "([^"]+)"`)
	inHandlers  = regexp.MustCompile(`(?m)(?:viewOf\(w, r, |refuse\(r, "[a-z_]+", |Text\(|Kind\.[A-Za-z]+: |title, message = |title = |fault\.[A-Za-z]+: *|fault\.New\(fault\.[A-Za-z]+, |^\t"[a-z-]+": +)"([^"]{3,})"`)
)

func TestEveryTextOfThePagesIsTranslated(t *testing.T) {
	t.Parallel()
	texts := map[string]string{}
	for pattern, glob := range map[*regexp.Regexp]string{inTemplates: "templates/*.html", inHandlers: "*.go"} {
		files, err := filepath.Glob(glob)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files (%v)", glob, err)
		}
		for _, file := range files {
			if filepath.Ext(file) == ".go" && len(file) > 8 && file[len(file)-8:] == "_test.go" {
				continue
			}
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range pattern.FindAllStringSubmatch(string(source), -1) {
				texts[found[1]] = file
			}
		}
	}
	if len(texts) < 60 {
		t.Fatalf("only %d texts found: the patterns miss them", len(texts))
	}
	for text, file := range texts {
		if lang.Korean.Text(text) == text {
			t.Errorf("%s: no Korean for %q", file, text)
		}
	}
}
