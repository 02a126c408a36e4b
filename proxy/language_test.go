package proxy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// said is a text that the edge answers with: a sentence in quotes.
var said = regexp.MustCompile(`"([A-Z][^"\\]*\.)"`)

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
	for _, name := range []string{"edge.go", "actions.go", "answer.go", "limited.go", "pause.go", "maintenance.go", "accesslog.go"} {
		source, err := os.ReadFile(filepath.Clean(name))
		if err != nil {
			t.Fatal(err)
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
