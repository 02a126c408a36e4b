package config_test

import (
	"bytes"
	"encoding"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/portico-web/portico/proxy/config"
)

// The schema is made of the types and of the documentation. After a change of either: UPDATE=1 go test ./proxy/config
func TestTheSchemaHasEveryKeyAndItsDocumentation(t *testing.T) {
	t.Parallel()
	maker := schemaMaker{words: documented(t), t: t}
	made := maker.value(reflect.TypeFor[config.Config](), nil)
	made["$schema"] = "http://json-schema.org/draft-07/schema#"
	made["title"] = "proxy.yaml: the configuration of Portico's edge"
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(made); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(want.Bytes(), config.Schema()) {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Fatal("schema.json is not what the types and docs/proxy.md make: UPDATE=1 go test ./proxy/config writes it anew")
	}
	write(t, "schema.json", want.String())
}

func TestTheSchemaTakesWhatTheEdgeTakes(t *testing.T) {
	t.Parallel()
	schema := compiled(t)
	for _, example := range examples(t) {
		if err := schema.Validate(asJSON(t, example)); err != nil {
			t.Errorf("%v in\n%s", err, example)
		}
	}
}

func TestTheSchemaRefusesKeysThatNobodyKnowsAndWordsOutOfASet(t *testing.T) {
	t.Parallel()
	schema := compiled(t)
	files, err := filepath.Glob("testdata/mistakes/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name, faults := filepath.Base(file), string(archive.Files[1].Data)
		if !strings.Contains(faults, "unknown key") && !strings.HasPrefix(name, "bad-balance") && !strings.HasPrefix(name, "bad-issuer") {
			continue
		}
		refused++
		if schema.Validate(asJSON(t, string(archive.Files[0].Data))) == nil {
			t.Errorf("%s is taken: %s", name, faults)
		}
	}
	if refused < 4 {
		t.Errorf("only %d mistakes were tried", refused)
	}
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	content, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("proxy.json", content); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("proxy.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func asJSON(t *testing.T, content string) any {
	t.Helper()
	encoded, err := yaml.YAMLToJSON([]byte(content))
	if err != nil {
		t.Fatalf("%v in\n%s", err, content)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func manual(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("../../docs/proxy.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func examples(t *testing.T) (list []string) {
	t.Helper()
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(manual(t), -1) {
		list = append(list, block[1])
	}
	return list
}

// documented is what the tables of the documentation say of keys, by "section key".
func documented(t *testing.T) map[string]string {
	t.Helper()
	words, section := map[string]string{}, ""
	row := regexp.MustCompile("^\\| ((?:`[a-z0-9_.]+`(?:, | of both)?)+) \\| (.*?) \\|(?: (.*?) \\|)?$")
	plain := strings.NewReplacer("`", "", "[", "", "]", "", `\|`, "|")
	links := regexp.MustCompile(`\]\([^)]*\)`)
	for line := range strings.Lines(manual(t)) {
		line = strings.TrimSpace(line)
		if heading, found := strings.CutPrefix(line, "## "); found {
			section = heading
		}
		found := row.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		text := plain.Replace(links.ReplaceAllString(found[2], "]"))
		if usual := plain.Replace(found[3]); usual != "" && usual != "–" {
			text += " (default: " + usual + ")"
		}
		first := ""
		for key := range strings.SplitSeq(strings.TrimSuffix(found[1], " of both"), ", ") {
			key = strings.Trim(key, "`")
			if strings.HasPrefix(key, ".") { // of the same parent as the first
				key = first[:strings.LastIndexByte(first, '.')] + key
			} else {
				first = key
			}
			words[section+" "+key] = text
		}
	}
	return words
}

type schemaMaker struct {
	t     *testing.T
	words map[string]string
}

// sections are where keys below a top key are documented, besides the section of its own name.
var sections = map[string][]string{
	"sites": {"sites", "routes", "Who may pass", "What is answered"},
}

// describe finds the words on a key: under its own name, or under its parent's and its own.
func (m schemaMaker) describe(path []string) string {
	top := path[0]
	for _, section := range append(sections[top], top) {
		for from := 1; from < len(path); from++ {
			if text, found := m.words[section+" "+strings.Join(path[from:], ".")]; found {
				return text
			}
		}
	}
	return ""
}

// variable is a text with ${NAME} in it, which may stand for any value.
const variable = `\$\{`

func scalar(pattern string) map[string]any {
	return map[string]any{"type": []string{"string", "number", "boolean", "null"}, "pattern": pattern + "|" + variable}
}

// patterns are of the values that are read from a text.
var patterns = map[reflect.Type]string{
	reflect.TypeFor[time.Duration](): `^([0-9.]+(ns|us|µs|ms|s|m|h))+$|^[0-9]+d$|^0$`,
	reflect.TypeFor[config.Prefix](): `^[0-9a-fA-F.:]+(/[0-9]+)?$`,
	reflect.TypeFor[config.Rate]():   `^[0-9]+/`,
	reflect.TypeFor[config.Size]():   `^[0-9]+(KiB|MiB|GiB)?$`,
}

// value makes the schema of a type; path are the keys that lead to it.
func (m schemaMaker) value(of reflect.Type, path []string) map[string]any {
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if pattern, known := patterns[of]; known {
		return scalar(pattern)
	}
	if reflect.PointerTo(of).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		word := map[string]any{"type": []string{"string", "number", "boolean", "null"}}
		if of.Kind() == reflect.Slice || of.Kind() == reflect.Struct && hasKeys(of) { // which may be written out as well
			return map[string]any{"anyOf": []any{word, m.structured(of, path)}}
		}
		return word
	}
	return m.structured(of, path)
}

func hasKeys(of reflect.Type) bool {
	for _, field := range reflect.VisibleFields(of) {
		if field.Tag.Get("yaml") != "" {
			return true
		}
	}
	return false
}

func (m schemaMaker) structured(of reflect.Type, path []string) map[string]any {
	switch of.Kind() {
	case reflect.Bool:
		return scalar("^(true|false)$")
	case reflect.Int, reflect.Int64:
		return scalar("^-?[0-9]+$")
	case reflect.String:
		return map[string]any{"type": []string{"string", "number", "boolean", "null"}}
	case reflect.Slice:
		return map[string]any{"type": []string{"array", "null"}, "items": m.value(of.Elem(), path)}
	case reflect.Map:
		return map[string]any{"type": []string{"object", "null"}, "additionalProperties": m.value(of.Elem(), path)}
	case reflect.Struct:
		keys := map[string]any{}
		for _, field := range reflect.VisibleFields(of) {
			if name := field.Tag.Get("yaml"); name != "" && name != "-" {
				keys[name] = m.key(field, append(path[:len(path):len(path)], name))
			}
		}
		return map[string]any{"type": []string{"object", "null"}, "additionalProperties": false, "properties": keys}
	default:
		m.t.Fatalf("no schema for %s at %v", of, path)
		return nil
	}
}

func (m schemaMaker) key(field reflect.StructField, path []string) map[string]any {
	made := m.value(field.Type, path)
	if choices := strings.Fields(field.Tag.Get("choice")); len(choices) > 0 {
		made = map[string]any{"anyOf": []any{map[string]any{"enum": choices}, map[string]any{"type": "string", "pattern": variable}}}
	}
	if text := m.describe(append([]string{path[0]}, path...)); text != "" {
		made["description"] = text
	}
	return made
}
