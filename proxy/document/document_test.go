package document_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-web/portico/proxy/document"
)

type level int

func (l *level) UnmarshalText(text []byte) error {
	if string(text) != "high" {
		return fmt.Errorf("%q is not high", text)
	}
	*l = 1
	return nil
}

// names is a list that "none" may stand for.
type names []string

func (n *names) UnmarshalText(text []byte) error {
	if string(text) != "none" {
		return fmt.Errorf("%q is not none", text)
	}
	*n = names{}
	return nil
}

type inner struct {
	Name string        `yaml:"name"`
	Wait time.Duration `yaml:"wait"`
	Deep *inner        `yaml:"deep"`
}

type settings struct {
	Text   string           `yaml:"text"`
	Flag   bool             `yaml:"flag"`
	Number int              `yaml:"number"`
	Level  level            `yaml:"level"`
	List   []string         `yaml:"list"`
	Items  []inner          `yaml:"items"`
	Named  map[string]inner `yaml:"named"`
}

var variables = map[string]string{
	"HOST": "example.com", "EMPTY": "", "ON": "true", "SEVEN": "7",
	"INJECTION": "x\nflag: true\nlist: [a, b] # ${HOST}",
}

func lookup(name string) (string, bool) {
	value, ok := variables[name]
	return value, ok
}

func TestValuesAreDecoded(t *testing.T) {
	t.Parallel()
	var got settings
	doc := document.Decode("f.yaml", []byte(`
text: "a ${HOST} b ${UNSET:-c d} $${HOST} $x $"
flag: ${ON}
number: "${SEVEN}"
level: ${UNSET:-high}
list: [a, "${EMPTY}", "${UNSET:-}", 1.0, true, "", 0x10]
items:
  - name: first
    wait: 1h30m
  - &second {name: second, wait: 7d, deep: {name: below}}
  - *second
named:
  one: {name: x}
  two:
`), lookup, &got)
	if err := doc.Err(); err != nil {
		t.Fatal(err)
	}
	second := inner{Name: "second", Wait: 7 * 24 * time.Hour, Deep: &inner{Name: "below"}}
	want := settings{
		Text: "a example.com b c d ${HOST} $x $", Flag: true, Number: 7, Level: 1,
		List:  []string{"a", "1.0", "true", "", "0x10"},
		Items: []inner{{Name: "first", Wait: 90 * time.Minute}, second, second},
		Named: map[string]inner{"one": {Name: "x"}, "two": {}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

// either is a list, or a word; both is keys, or a word.
type (
	either []string
	both   struct {
		Name string `yaml:"name"`
	}
)

func (e *either) UnmarshalText(text []byte) error {
	*e = either{"word", string(text)}
	return nil
}

func (b *both) UnmarshalText(text []byte) error {
	b.Name = "word " + string(text)
	return nil
}

func TestAValueMayHaveAShortForm(t *testing.T) {
	t.Parallel()
	type forms struct {
		Either either `yaml:"either"`
		Both   *both  `yaml:"both"`
	}
	for content, want := range map[string]forms{
		"either: true\nboth: ${ON}":                 {either{"word", "true"}, &both{"word true"}},
		"either: [a, b]\nboth: {name: x}":           {either{"a", "b"}, &both{"x"}},
		"either:\n  - a\nboth: &b\n  name: ${HOST}": {either{"a"}, &both{"example.com"}},
	} {
		var got forms
		if err := document.Decode("f.yaml", []byte(content), lookup, &got).Err(); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %+v, %v", content, got, err)
		}
	}
	var got forms
	err := document.Decode("f.yaml", []byte("either: {a: b}\nboth: [a]"), lookup, &got).Err()
	if err == nil || !strings.Contains(err.Error(), "1:9: either wants a list") || !strings.Contains(err.Error(), "2:7: both wants keys with values here (name)") {
		t.Error(err)
	}
}

func TestAVariablesContentIsNeverYAML(t *testing.T) {
	t.Parallel()
	var got settings
	doc := document.Decode("f.yaml", []byte("text: ${INJECTION}\nlist: [\"${INJECTION}\", b]"), lookup, &got)
	if err := doc.Err(); err != nil {
		t.Fatal(err)
	}
	if got.Text != variables["INJECTION"] || got.Flag || len(got.List) != 2 {
		t.Fatalf("%+v", got)
	}
}

func TestFaultsNameThePlaceAndTheWayOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ content, want string }{
		"unknown key":       {"txet: a", `f.yaml:1:1: unknown key "txet" (did you mean "text"?)`},
		"unknown, far":      {"items:\n  - zzzzzz: 1", `f.yaml:2:5: unknown key "zzzzzz" in items[0] (known: deep, name, wait)`},
		"in flow":           {"text: x\nitems: [{name: a}, {nam: b}]", `f.yaml:2:21: unknown key "nam" in items[1] (did you mean "name"?)`},
		"behind Korean":     {"named: {한국: {nmae: b}}", `f.yaml:1:14: unknown key "nmae" in named.한국 (did you mean "name"?)`},
		"unset variable":    {"text: a\nflag: true\nlist:\n  - \"${NOT_THERE}\"", `f.yaml:4:5: the variable NOT_THERE is not set: set it, or give a default as ${NOT_THERE:-default}`},
		"open brace":        {`text: "a ${HOST"`, `f.yaml:1:7: "${HOST" has no closing brace: write ${NAME}, ${NAME:-default}, or $${ for a literal ${`},
		"bad variable":      {`text: "${A B}"`, `f.yaml:1:7: ${A B} does not name a variable: write ${NAME}, ${NAME:-default}, or $${ for a literal ${`},
		"nested default":    {`text: "${A:-${B}}"`, `f.yaml:1:7: the default of ${A is itself a variable: defaults are plain text`},
		"not a bool":        {"flag: yes", `f.yaml:1:7: flag: "yes" is not true or false`},
		"not a number":      {"number: many", `f.yaml:1:9: number: "many" is not a whole number`},
		"number overflow":   {"number: 99999999999999999999", `f.yaml:1:9: number: "99999999999999999999" is not a whole number`},
		"not a duration":    {"items: [{wait: soon}]", `f.yaml:1:16: items[0].wait: "soon" is not a duration such as 500ms, 10s, 24h or 7d`},
		"negative duration": {"items: [{wait: -1s}]", `f.yaml:1:16: items[0].wait: "-1s" is not a duration such as 500ms, 10s, 24h or 7d`},
		"own type":          {"level: low", `f.yaml:1:8: level: "low" is not high`},
		"list for value":    {"text: [a]", `f.yaml:1:7: text wants a single value`},
		"value for list":    {"list: a", `f.yaml:1:7: list wants a list, as in [a, b]`},
		"value for keys":    {"items: [a]", `f.yaml:1:9: items[0] wants keys with values here (name, wait, deep)`},
		"list for names":    {"named: [a]", `f.yaml:1:8: named wants names with values here`},
		"double key":        {"text: a\ntext: b", `f.yaml:2:1: not valid YAML: mapping key "text" already defined at [1:1]`},
		"tab":               {"items:\n\t- name: a", `f.yaml:2:1: not valid YAML: found character '	' that cannot start any token`},
		"open list":         {"list: [a,\ntext: b", `f.yaml:1:7: not valid YAML: sequence end token ']' not found`},
		"two documents":     {"text: a\n---\ntext: b", `f.yaml:3:1: a second document (---) in one file: keep one`},
		"empty":             {"# nothing\n", `f.yaml: the file is empty`},
		"not keys":          {"- a", `f.yaml:1:1: the file wants keys with values here (text, flag, number, level, list, items, named)`},
		"merge":             {"named:\n  a: &a {name: x}\n  b:\n    <<: *a", `f.yaml:4:5: merge keys (<<) are not supported: write the keys out`},
		"alias of nothing":  {"text: *a", `f.yaml:1:7: no anchor &a for the alias *a`},
		"alias of itself":   {"items: &a [*a]", `f.yaml:1:11: items[0] wants keys with values here (name, wait, deep)`},
		"several, in order": {"flag: x\nnumber: y", "f.yaml:1:7: flag: \"x\" is not true or false\nf.yaml:2:9: number: \"y\" is not a whole number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got settings
			err := document.Decode("f.yaml", []byte(c.content), lookup, &got).Err()
			if err == nil || err.Error() != c.want {
				t.Fatalf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestLaterFaultsFindTheirPlace(t *testing.T) {
	t.Parallel()
	var got settings
	doc := document.Decode("f.yaml", []byte("text: a\nitems:\n  - name: first\n  - wait: 1s\nnamed:\n  one:\n    name: x\n"), lookup, &got)
	doc.Faultf("named.one", "E")
	doc.Faultf("items[1].name", "missing, so its parent")
	doc.Faultf("items[0].name", "B")
	doc.Faultf("nothing.known", "the file")
	want := "f.yaml:1:1: the file\nf.yaml:3:11: B\nf.yaml:4:5: missing, so its parent\nf.yaml:6:3: E"
	if err := doc.Err(); err == nil || err.Error() != want {
		t.Fatalf("got\n%v\nwant\n%s", err, want)
	}
	if faults, ok := errors.AsType[document.Faults](doc.Err()); !ok || faults[1].Line != 3 || faults[1].Column != 11 {
		t.Fatalf("%v", faults)
	}
}

func TestAFileThatAliasesBlowUpIsRefused(t *testing.T) {
	t.Parallel()
	type deep struct {
		A [][]string `yaml:"a"`
	}
	content := "a:\n  - &l [" + strings.Repeat("x,", 2000) + "x]\n" + strings.Repeat("  - *l\n", 2000)
	var got deep
	err := document.Decode("f.yaml", []byte(content), lookup, &got).Err()
	if err == nil || !strings.Contains(err.Error(), "more than 100000 values") {
		t.Fatalf("%.200v", err)
	}
}

func TestAFileTooDeepOrTooFullIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ content, want string }{
		"lists":         {"list: " + strings.Repeat("[", 200_000), "f.yaml:1:71: values stand in each other more than 64 deep"},
		"behind an end": {"list: ]" + strings.Repeat("[", 100), "f.yaml:1:72: values stand in each other more than 64 deep"},
		"keys":          {"list: " + strings.Repeat("[{a: ", 50_000), "f.yaml:1:167: values stand in each other more than 64 deep"},
		"lists, block":  {"list:\n  " + strings.Repeat("- ", 50_000) + "a", "f.yaml:2:257: values stand in each other more than 64 deep"},
		"many keys":     {strings.Repeat("text: a\n", 33_334), "f.yaml:20001:5: a mapping has more than 20000 keys"},
		"many items":    {"list:\n" + strings.Repeat("- a\n", 500_000), "f.yaml:500001:1: the file holds more than 1000000 words and signs"},
	} {
		var got settings
		if err := document.Decode("f.yaml", []byte(c.content), lookup, &got).Err(); err == nil || err.Error() != c.want {
			t.Errorf("%s: got  %.200v\nwant %s", name, err, c.want)
		}
	}
}

func TestAByteOrderMarkIsNoPartOfAKey(t *testing.T) {
	t.Parallel()
	var got settings
	if err := document.Decode("f.yaml", []byte("\xef\xbb\xbftext: a\r\n"), lookup, &got).Err(); err != nil || got.Text != "a" {
		t.Fatalf("%q, %v", got.Text, err)
	}
}

func TestAHugeFileIsRefused(t *testing.T) {
	t.Parallel()
	var got settings
	err := document.Decode("f.yaml", make([]byte, 5<<20), lookup, &got).Err()
	if err == nil || err.Error() != "f.yaml: the file is larger than 4 MiB" {
		t.Fatal(err)
	}
}

func TestAMappingOfTooManyKeysIsRefusedAndManySmallOnesAreNot(t *testing.T) {
	t.Parallel()
	const many = 20_001
	var blocks, flows, small strings.Builder
	blocks.WriteString("named:\n")
	flows.WriteString("named: {")
	small.WriteString("items:\n")
	for i := range many {
		fmt.Fprintf(&blocks, "  k%d:\n    deep: {}\n", i)
		fmt.Fprintf(&flows, "k%d: {}, ", i)
		small.WriteString([]string{"  - name: x\n    deep:\n      name: y\n", "  - {name: x, deep: {name: y}}\n"}[i%2])
	}
	flows.WriteString("}\n")
	for name, c := range map[string]struct{ content, want string }{
		"in a block":     {blocks.String(), "f.yaml:40002:"},
		"between braces": {flows.String(), "f.yaml:1:"},
		"many small":     {small.String(), ""},
	} {
		var got settings
		err := document.Decode("f.yaml", []byte(c.content), lookup, &got).Err()
		switch {
		case c.want == "" && (err != nil || len(got.Items) != many):
			t.Errorf("%s: %d items, %.200v", name, len(got.Items), err)
		case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want) || !strings.Contains(err.Error(), "a mapping has more than 20000 keys")):
			t.Errorf("%s: %.200v", name, err)
		}
	}
}

func TestAWordMayStandForAList(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]names{"list: none": {}, "list: ${UNSET:-none}": {}, "list: [a, b]": {"a", "b"}} {
		var got struct {
			List names `yaml:"list"`
		}
		doc := document.Decode("f.yaml", []byte(content), lookup, &got)
		if doc.Err() != nil || !cmp.Equal(got.List, want) {
			t.Errorf("%s: %#v, %v", content, got.List, doc.Err())
		}
	}
	for content, want := range map[string]string{
		"list: all":      `f.yaml:1:7: list: "all" is not none`,
		"list: ${NOT}":   `f.yaml:1:7: the variable NOT is not set: set it, or give a default as ${NOT:-default}`,
		"list:":          `f.yaml:1:7: list is empty: give it a value, or leave it out`,
		"list: null":     `f.yaml:1:7: list is empty: give it a value, or leave it out`,
		"list: {a: b}":   `f.yaml:1:7: list wants a list, as in [a, b]`,
		"list: [{a: b}]": `f.yaml:1:8: list[0] wants a single value`,
	} {
		var got struct {
			List names `yaml:"list"`
		}
		if err := document.Decode("f.yaml", []byte(content), lookup, &got).Err(); err == nil || err.Error() != want {
			t.Errorf("%s: %v", content, err)
		}
	}
}
