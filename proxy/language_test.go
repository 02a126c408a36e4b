package proxy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// said is a text that the edge answers with: a sentence in quotes.
var said = regexp.MustCompile(`"([A-Z][^"\\]*\.)"`)

// failing is how files look that answer with failures.
var failing = regexp.MustCompile(`\b(fail|failWith|WriteFailure)\(`)

func TestWhatTheEdgeSaysIsSaidInKoreanToo(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../internal/lang/ko.json")
	if err != nil {
		t.Fatal(err)
	}
	var korean map[string]string
	if err := json.Unmarshal(content, &korean); err != nil {
		t.Fatal(err)
	}
	texts := 0
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		source, err := os.ReadFile(filepath.Clean(name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "_test.go") || !failing.Match(source) {
			continue
		}
		for _, found := range said.FindAllStringSubmatch(string(source), -1) {
			texts++
			if korean[found[1]] == "" {
				t.Errorf("%s says %q, which is not in ko.json", name, found[1])
			}
		}
	}
	if texts < 15 {
		t.Errorf("only %d texts were found", texts)
	}
}
