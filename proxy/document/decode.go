package document

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// expansion bounds what aliases can make of a small file. Without aliases a value takes two bytes of it at least.
const expansion = 100_000

type decoder struct {
	document *Document
	lookup   func(string) (string, bool)
	anchors  map[string]ast.Node
	keys     map[reflect.Type]*keys
	nodes    int
	maxNodes int
}

// keys are those of a struct, with their places, and in their order.
type keys struct {
	fields map[string]reflect.StructField
	names  []string
}

// keysOf finds the keys of a type once, however many sites a file has.
func (d *decoder) keysOf(of reflect.Type) *keys {
	if known := d.keys[of]; known != nil {
		return known
	}
	found := &keys{fields: map[string]reflect.StructField{}}
	for _, field := range reflect.VisibleFields(of) { // those of embedded structs too
		if name := field.Tag.Get("yaml"); name != "" && name != "-" {
			found.fields[name] = field
			found.names = append(found.names, name)
		}
	}
	d.keys[of] = found
	return found
}

func (d *decoder) decodeRoot(root ast.Node, dst any) {
	d.anchors = map[string]ast.Node{}
	d.keys = map[reflect.Type]*keys{}
	ast.Walk(anchorCollector(d.anchors), root)
	d.document.positions[""] = nodePosition(root)
	d.value(root, reflect.ValueOf(dst).Elem(), "")
}

type anchorCollector map[string]ast.Node

func (c anchorCollector) Visit(node ast.Node) ast.Visitor {
	if anchor, ok := node.(*ast.AnchorNode); ok && anchor.Name != nil {
		c[anchor.Name.GetToken().Value] = anchor.Value
	}
	return c
}

// resolve looks behind anchors, aliases and tags.
func (d *decoder) resolve(node ast.Node) (ast.Node, error) {
	for range 16 {
		switch wrapped := node.(type) {
		case *ast.AnchorNode:
			node = wrapped.Value
		case *ast.TagNode:
			node = wrapped.Value
		case *ast.AliasNode:
			name := wrapped.Value.GetToken().Value
			target, ok := d.anchors[name]
			if !ok {
				return nil, fmt.Errorf("no anchor &%s for the alias *%s", name, name)
			}
			node = target
		default:
			return node, nil
		}
	}
	return nil, fmt.Errorf("aliases refer to each other without end")
}

func (d *decoder) fault(node ast.Node, format string, values ...any) {
	d.document.add(nodePosition(node), fmt.Sprintf(format, values...))
}

// value decodes node into dst. path names the value, as in Document.Faultf.
func (d *decoder) value(node ast.Node, dst reflect.Value, path string) {
	if d.nodes++; d.nodes > d.maxNodes {
		if d.nodes == d.maxNodes+1 {
			d.fault(node, "the file holds more than %d values, aliases counted", d.maxNodes)
		}
		return
	}
	resolved, err := d.resolve(node)
	if err != nil {
		d.fault(node, "%s", err)
		return
	}
	if resolved == nil || resolved.Type() == ast.NullType {
		switch dst.Kind() { // who asks for a token, and leaves what it must be for later, must not let everybody in
		case reflect.Pointer, reflect.Slice, reflect.Map:
			d.fault(node, "%s is empty: give it a value, or leave it out", nameOf(path))
		default:
		}
		return
	}
	if _, known := d.document.positions[path]; !known {
		d.document.positions[path] = nodePosition(node)
	}
	if dst.Kind() == reflect.Pointer {
		dst.Set(reflect.New(dst.Type().Elem()))
		dst = dst.Elem()
	}
	if isScalarType(dst) && !longForm(resolved, dst) {
		d.scalar(resolved, dst, path)
		return
	}
	switch dst.Kind() {
	case reflect.Struct:
		d.structure(resolved, dst, path)
	case reflect.Slice:
		d.sequence(resolved, dst, path)
	case reflect.Map:
		d.mapping(resolved, dst, path)
	default:
		panic("document: no rule for " + dst.Type().String())
	}
}

func isScalarType(dst reflect.Value) bool {
	if _, ok := dst.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return true
	}
	switch dst.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64:
		return true
	default:
		return false
	}
}

// longForm tells whether a value that may also be a word, such as false, is written out: as a list, or with keys.
func longForm(node ast.Node, dst reflect.Value) bool {
	if _, word := textOf(node); word {
		return false
	}
	switch dst.Kind() {
	case reflect.Slice:
		return true
	case reflect.Struct:
		for field := range dst.Type().Fields() {
			if field.Tag.Get("yaml") != "" {
				return true
			}
		}
	default:
	}
	return false
}

func entriesOf(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch node := node.(type) {
	case *ast.MappingNode:
		return node.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{node}, true
	default:
		return nil, false
	}
}

func keyName(entry *ast.MappingValueNode) string { return entry.Key.GetToken().Value }

func (d *decoder) structure(node ast.Node, dst reflect.Value, path string) {
	entries, ok := entriesOf(node)
	known := d.keysOf(dst.Type())
	if !ok {
		d.fault(node, "%s wants keys with values here (%s)", nameOf(path), strings.Join(known.names, ", "))
		return
	}
	for _, entry := range entries {
		name := keyName(entry)
		if _, merge := entry.Key.(*ast.MergeKeyNode); merge {
			d.fault(entry, "merge keys (<<) are not supported: write the keys out")
			continue
		}
		field, ok := known.fields[name]
		if !ok {
			d.fault(entry, "unknown key %q%s%s", name, inside(path), Suggest(name, known.names))
			continue
		}
		at, value := join(path, name), dst.FieldByIndex(field.Index)
		d.value(entry.Value, value, at)
		d.choice(entry.Value, value, field, at)
	}
}

func (d *decoder) mapping(node ast.Node, dst reflect.Value, path string) {
	entries, ok := entriesOf(node)
	if !ok {
		d.fault(node, "%s wants names with values here", nameOf(path))
		return
	}
	dst.Set(reflect.MakeMapWithSize(dst.Type(), len(entries)))
	for _, entry := range entries {
		if _, merge := entry.Key.(*ast.MergeKeyNode); merge {
			d.fault(entry, "merge keys (<<) are not supported: write the keys out")
			continue
		}
		name := keyName(entry)
		at := join(path, name)
		d.document.positions[at] = positionOf(entry.Key.GetToken())
		element := reflect.New(dst.Type().Elem()).Elem()
		d.value(entry.Value, element, at)
		dst.SetMapIndex(reflect.ValueOf(name), element)
	}
}

// OneOrMore is a list that may be written as its only member.
type OneOrMore []string

// UnmarshalText takes the only member; an empty text makes an empty list.
func (o *OneOrMore) UnmarshalText(text []byte) error {
	*o = OneOrMore{}
	if len(text) > 0 {
		*o = OneOrMore{string(text)}
	}
	return nil
}

// sequence decodes a list; an empty one differs from none.
func (d *decoder) sequence(node ast.Node, dst reflect.Value, path string) {
	dst.Set(reflect.MakeSlice(dst.Type(), 0, 0))
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		d.fault(node, "%s wants a list, as in [a, b]", nameOf(path))
		return
	}
	for _, item := range sequence.Values {
		at := path + "[" + strconv.Itoa(dst.Len()) + "]"
		element := reflect.New(dst.Type().Elem()).Elem()
		delete(d.document.positions, at)
		if isScalarType(element) && d.vanishes(item) {
			continue
		}
		d.value(item, element, at)
		dst.Set(reflect.Append(dst, element))
	}
}

// vanishes tells whether a list's item is a variable that expands to nothing: such an item is left out, so that a list can
// have optional members.
func (d *decoder) vanishes(item ast.Node) bool {
	resolved, err := d.resolve(item)
	if err != nil || resolved == nil {
		return false
	}
	source, ok := textOf(resolved)
	if !ok || source == "" {
		return false
	}
	expanded, err := expand(source, d.lookup)
	return err == nil && expanded == ""
}

// textOf is a scalar's source text.
func textOf(node ast.Node) (string, bool) {
	switch node := node.(type) {
	case *ast.StringNode:
		return node.Value, true
	case *ast.LiteralNode:
		return node.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return node.GetToken().Value, true
	default:
		return "", false
	}
}

func (d *decoder) scalar(node ast.Node, dst reflect.Value, path string) {
	source, ok := textOf(node)
	if !ok {
		d.fault(node, "%s wants a single value", nameOf(path))
		return
	}
	text, err := expand(source, d.lookup)
	if err != nil {
		d.fault(node, "%s", err)
		return
	}
	if err := assign(dst, text); err != nil {
		d.fault(node, "%s: %s", nameOf(path), err)
	}
}

// choice holds a text to the words that its field's tag lists, as in `choice:"one two"`. "" stands for none of them.
func (d *decoder) choice(node ast.Node, value reflect.Value, field reflect.StructField, path string) {
	choices := strings.Fields(field.Tag.Get("choice"))
	if len(choices) == 0 || value.String() == "" || slices.Contains(choices, value.String()) {
		return
	}
	d.fault(node, "%s: unknown value %q%s", path, value.String(), Suggest(value.String(), choices))
}

func assign(dst reflect.Value, text string) error {
	if unmarshaler, ok := dst.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return unmarshaler.UnmarshalText([]byte(text))
	}
	if dst.Type() == reflect.TypeFor[time.Duration]() {
		duration, err := ParseDuration(text)
		dst.SetInt(int64(duration))
		return err
	}
	switch dst.Kind() {
	case reflect.String:
		dst.SetString(text)
	case reflect.Bool:
		switch text {
		case "true":
			dst.SetBool(true)
		case "false":
			dst.SetBool(false)
		default:
			return fmt.Errorf("%q is not true or false", text)
		}
	default:
		number, err := strconv.ParseInt(text, 10, 63)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		dst.SetInt(number)
	}
	return nil
}

// ParseDuration reads durations as time.ParseDuration does, and days ("7d"). Negative ones are refused.
func ParseDuration(text string) (time.Duration, error) {
	malformed := fmt.Errorf("%q is not a duration such as 500ms, 10s, 24h or 7d", text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		count, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, malformed
		}
		return time.Duration(count) * 24 * time.Hour, nil
	}
	duration, err := time.ParseDuration(text)
	if err != nil || duration < 0 {
		return 0, malformed
	}
	return duration, nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func nameOf(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

func inside(path string) string {
	if path == "" {
		return ""
	}
	return " in " + path
}
