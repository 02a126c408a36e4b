// Package document reads a YAML file into Go values and remembers where everything stood, so that whatever is wrong with a
// value, found now or later, is told with file, line and column. Unknown keys are faults that name the nearest known one;
// ${VAR} and ${VAR:-default} expand inside values after the file was parsed, so that a variable's content is never YAML.
package document

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	// maxSize bounds a configuration file, in bytes.
	maxSize = 4 << 20
	// maxDepth bounds how deep values stand in each other.
	maxDepth = 64
	// maxTokens bounds a file's words and signs.
	maxTokens = 1_000_000
	// maxKeys bounds the keys of one mapping: the parser's time grows by their square.
	maxKeys = 20_000
)

// Fault is one thing that is wrong with a file. Line and Column count from 1 and are 0 when nothing better than the file is
// known.
type Fault struct {
	File         string
	Line, Column int
	Message      string
}

func (f Fault) Error() string {
	if f.Line == 0 {
		return f.File + ": " + f.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
}

// Faults is everything that is wrong with a file, in the file's order. As an error it is one line a fault.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

type position struct{ line, column int }

// Document is a decoded file: it knows where each value stood. It is not safe for concurrent use.
type Document struct {
	name      string
	positions map[string]position
	faults    Faults
}

// Decode fills dst, a pointer to a struct with `yaml` tags, from content. name is what faults call the file; lookup finds
// variables. The Document is never nil: it holds the faults found so far and takes further ones.
func Decode(name string, content []byte, lookup func(string) (string, bool), dst any) *Document {
	d := &Document{name: name}
	if len(content) > maxSize {
		d.add(position{}, fmt.Sprintf("the file is larger than %d MiB", maxSize>>20))
		return d
	}
	d.positions = make(map[string]position, len(content)/32) // a value has about so many bytes
	root, ok := d.parse(content)
	if !ok {
		return d
	}
	decoder := &decoder{document: d, lookup: lookup, maxNodes: max(expansion, len(content)/2)}
	decoder.decodeRoot(root, dst)
	return d
}

// parse yields the file's only document; a malformed file is a fault. A parser that panics on a file is no reason to die.
func (d *Document) parse(content []byte) (root ast.Node, ok bool) {
	defer func() {
		if cause := recover(); cause != nil {
			d.add(position{}, "the file is not valid YAML")
			root, ok = nil, false
		}
	}()
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf")) // a byte order mark
	tokens := lexer.Tokenize(string(content))
	if deep := tooDeep(tokens); deep != nil {
		d.add(positionOf(deep), fmt.Sprintf("values stand in each other more than %d deep", maxDepth))
		return nil, false
	}
	if len(tokens) > maxTokens {
		d.add(positionOf(tokens[maxTokens]), fmt.Sprintf("the file holds more than %d words and signs", maxTokens))
		return nil, false
	}
	if wide := tooWide(tokens); wide != nil {
		d.add(positionOf(wide), fmt.Sprintf("a mapping has more than %d keys", maxKeys))
		return nil, false
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		where, message := position{}, err.Error()
		if syntax, found := errors.AsType[yaml.Error](err); found {
			where, message = positionOf(syntax.GetToken()), syntax.GetMessage()
		}
		d.add(where, "not valid YAML: "+firstLine(message))
		return nil, false
	}
	for _, candidate := range file.Docs {
		if candidate.Body == nil {
			continue
		}
		if root != nil {
			d.add(nodePosition(candidate.Body), "a second document (---) in one file: keep one")
			return nil, false
		}
		root = candidate.Body
	}
	if root == nil {
		d.add(position{}, "the file is empty")
		return nil, false
	}
	return root, true
}

// tooDeep finds the token where values begin to stand in each other too deep for the parser, whose memory grows by the square
// of the depth. Every level of a block costs a column, so that columns stand for levels there.
func tooDeep(tokens token.Tokens) *token.Token {
	flow := 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow = max(flow-1, 0) // a bracket too many is the parser's to tell
		case token.SequenceEntryType, token.MappingKeyType:
			if flow == 0 && t.Position != nil && t.Position.Column > 4*maxDepth {
				return t
			}
		}
		if flow > maxDepth {
			return t
		}
	}
	return nil
}

// tooWide finds the key that is one too many of its mapping. A mapping within signs is known by how many of them stand around
// it, which tooDeep has bounded; a block is known by its column, and ends where something stands further left.
func tooWide(tokens token.Tokens) *token.Token {
	type block struct{ column, keys int }
	var blocks []block
	var flows [maxDepth + 1]int
	flow := 0
	leave := func(column int) {
		for len(blocks) > 0 && blocks[len(blocks)-1].column > column {
			blocks = blocks[:len(blocks)-1]
		}
	}
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
			flows[flow] = 0
		case token.SequenceEndType, token.MappingEndType:
			flow = max(flow-1, 0)
		case token.SequenceEntryType:
			if flow == 0 && t.Position != nil {
				leave(t.Position.Column)
			}
		case token.MappingValueType:
			keys := &flows[flow]
			if flow == 0 && t.Prev != nil && t.Prev.Position != nil {
				column := t.Prev.Position.Column
				leave(column)
				if len(blocks) == 0 || blocks[len(blocks)-1].column < column {
					blocks = append(blocks, block{column: column})
				}
				keys = &blocks[len(blocks)-1].keys
			}
			if *keys++; *keys > maxKeys {
				return t
			}
		}
	}
	return nil
}

// Faultf adds a fault about the value at path, such as sites[0].routes[2].upstream. A path of which nothing is known counts
// as its nearest known parent.
func (d *Document) Faultf(path, format string, values ...any) {
	d.add(d.find(path), fmt.Sprintf(format, values...))
}

func (d *Document) find(path string) position {
	for {
		if where, ok := d.positions[path]; ok {
			return where
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return d.positions[""]
		}
		path = path[:cut]
	}
}

func (d *Document) add(where position, message string) {
	d.faults = append(d.faults, Fault{File: d.name, Line: where.line, Column: where.column, Message: message})
}

// Err is nil or the Faults in the file's order.
func (d *Document) Err() error {
	if len(d.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(d.faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return d.faults
}

func positionOf(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{}
	}
	return position{t.Position.Line, t.Position.Column}
}

// nodePosition is where a reader would point to: a block mapping's own token is its first colon.
func nodePosition(node ast.Node) position {
	switch node := node.(type) {
	case *ast.MappingNode:
		if !node.IsFlowStyle && len(node.Values) > 0 {
			return positionOf(node.Values[0].Key.GetToken())
		}
	case *ast.MappingValueNode:
		return positionOf(node.Key.GetToken())
	}
	return positionOf(node.GetToken())
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(line)
}
