package proxy_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/portico-web/portico/internal/dbtest"
)

func TestHTTP2Conforms(t *testing.T) {
	t.Parallel()
	programs, _ := filepath.Glob("../bin/tools/h2spec@*") // where make puts it
	h2spec := dbtest.Require(t, "`make h2spec` builds it into bin/tools", append(programs, "h2spec")...)
	e := start(t, site(echo(t), `      - {path: /, upstream: app}`))
	report := filepath.Join(t.TempDir(), "report.xml")
	port := strconv.Itoa(e.Addrs().HTTPS.Port)
	command := exec.CommandContext(t.Context(), h2spec, "--strict", "--tls", "--insecure", "--host", "127.0.0.1", "--port", port, "--timeout", "5", "--junit-report", report)
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	failed := command.Run() // which cases did is in the report
	outcomes, err := readH2specReport(report)
	if err != nil {
		t.Fatalf("%v; h2spec ended with %v and said:\n%s", err, failed, said.Bytes())
	}
	if len(outcomes) < 140 {
		t.Errorf("h2spec ran only %d cases", len(outcomes))
	}
	for name, failure := range outcomes {
		if failure != "" {
			t.Errorf("%s: %s", name, failure)
		}
	}
}

// readH2specReport reads h2spec's JUnit file: what is wrong by case, "" where nothing is. A case is named as h2spec's command
// line names it, by its section and its number within that.
func readH2specReport(path string) (map[string]string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var report struct {
		Suites []struct {
			Package string `xml:"package,attr"`
			Cases   []struct {
				Title   string  `xml:"classname,attr"`
				Failure *string `xml:"failure"`
				Error   *string `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(content, &report); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	outcomes := map[string]string{}
	for _, suite := range report.Suites {
		for i, c := range suite.Cases {
			outcome := ""
			for _, text := range []*string{c.Failure, c.Error} {
				if text != nil {
					outcome = c.Title + ": " + strings.Join(strings.Fields(*text), " ")
				}
			}
			outcomes[fmt.Sprintf("%s/%d", suite.Package, i+1)] = outcome
		}
	}
	return outcomes, nil
}
