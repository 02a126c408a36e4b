// Package field holds the fields of request bodies as Django REST framework takes them: missing, null and given are told
// apart, "2" is as good as 2 (forms know only text), and what is wrong is told in its words, all fields together.
package field

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/portico-web/portico/internal/fault"
)

// state is what every field has in common.
type state struct {
	Set     bool // the field was in the body
	problem string
}

const (
	required = "This field is required."
	null     = "This field may not be null."
	notText  = "Not a valid string."
	notInt   = "A valid integer is required."
	notBool  = "Must be a valid boolean."
)

// Text is a string field; numbers become text.
type Text struct {
	state
	Value string
}

// Int is a whole number.
type Int struct {
	state
	Value int64
}

// Bool is true or false, also spelled as forms spell it.
type Bool struct {
	state
	Value bool
}

// OfText, OfInt and OfBool are given fields, for callers that have no JSON.
func OfText(value string) Text { return Text{state{Set: true}, value} }
func OfInt(value int64) Int    { return Int{state{Set: true}, value} }
func OfBool(value bool) Bool   { return Bool{state{Set: true}, value} }

// UnmarshalJSON never fails on valid JSON: what is wrong is kept and told by Checks.
func (t *Text) UnmarshalJSON(raw []byte) error {
	*t = Text{state: state{Set: true}}
	switch first := raw[0]; {
	case first == '"':
		return json.Unmarshal(raw, &t.Value)
	case first == 'n':
		t.problem = null
	case first == '-' || '0' <= first && first <= '9':
		t.Value = string(raw)
	default:
		t.problem = notText
	}
	return nil
}

// UnmarshalJSON never fails on valid JSON: what is wrong is kept and told by Checks.
func (i *Int) UnmarshalJSON(raw []byte) error {
	*i = Int{state: state{Set: true}}
	text := string(raw)
	switch raw[0] {
	case 'n':
		i.problem = null
		return nil
	case '"':
		if err := json.Unmarshal(raw, &text); err != nil {
			return err
		}
		if text = strings.TrimSpace(text); text == "" {
			i.problem = null // an empty input of a form
			return nil
		}
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		if number, err := strconv.ParseFloat(text, 64); err == nil && number == math.Trunc(number) && math.Abs(number) < 1<<53 {
			i.Value = int64(number) // 2.0 and 2e0 are whole numbers
			return nil
		}
		i.problem = notInt
	}
	i.Value = value
	return nil
}

// UnmarshalJSON never fails on valid JSON: what is wrong is kept and told by Checks.
func (b *Bool) UnmarshalJSON(raw []byte) error {
	*b = Bool{state: state{Set: true}}
	switch strings.ToLower(strings.Trim(string(raw), `"`)) {
	case "true", "t", "1", "on", "yes", "y":
		b.Value = true
	case "false", "f", "0", "off", "no", "n":
	case "null":
		b.problem = null
	default:
		b.problem = notBool
	}
	return nil
}

// The schemas say what to send. What stands in their extensions is published but not enforced by huma, which would refuse
// "2" before Checks sees it, and tell of a missing field without the other faults.

func schema(kind string) *huma.Schema {
	return &huma.Schema{Extensions: map[string]any{"type": kind}}
}

func (Text) Schema(huma.Registry) *huma.Schema { return schema(huma.TypeString) }
func (Int) Schema(huma.Registry) *huma.Schema  { return schema(huma.TypeInteger) }
func (Bool) Schema(huma.Registry) *huma.Schema { return schema(huma.TypeBoolean) }

// Document finishes the schema of a body: which fields are required, and that unknown ones are ignored, so that a client
// may send back what it read. Checks enforces what this only documents.
func Document(s *huma.Schema, required ...string) *huma.Schema {
	s.AdditionalProperties = true
	if len(required) > 0 {
		s.Extensions = map[string]any{"required": required}
	}
	return s
}

// Checks gathers what is wrong with a body's fields and writes the good ones to where they belong.
type Checks struct {
	Partial  bool // a missing field is left as it is (PATCH)
	problems fault.Error
}

// admit tells whether a field's value is to be used.
func (c *Checks) admit(name string, in state) bool {
	switch {
	case !in.Set && !c.Partial:
		c.Refuse(name, required)
	case in.problem != "":
		c.Refuse(name, in.problem)
	default:
		return in.Set
	}
	return false
}

// Text takes a required text of 1 to limit characters, without the white space around it and with \n for line ends.
func (c *Checks) Text(name string, in Text, limit int, into *string) {
	if !c.admit(name, in.state) {
		return
	}
	value := strings.TrimSpace(strings.ReplaceAll(in.Value, "\r\n", "\n"))
	switch {
	case strings.ContainsRune(value, 0):
		c.Refuse(name, "Null characters are not allowed.")
	case value == "":
		c.Refuse(name, "This field may not be blank.")
	case utf8.RuneCountInString(value) > limit:
		c.Refuse(name, fmt.Sprintf("Ensure this field has no more than %d characters.", limit))
	default:
		*into = value
	}
}

// Int takes a required whole number and tells whether it did.
func (c *Checks) Int(name string, in Int, into *int64) bool {
	good := c.admit(name, in.state)
	if good {
		*into = in.Value
	}
	return good
}

// Bool takes an optional truth value; a missing one leaves what is there.
func (c *Checks) Bool(name string, in Bool, into *bool) {
	if in.Set && c.admit(name, in.state) {
		*into = in.Value
	}
}

// Refuse notes that a field is wrong.
func (c *Checks) Refuse(name, message string) { _ = c.problems.With(name, message) }

// Err is nil when nothing was wrong, and otherwise a *fault.Error of kind Invalid that tells everything.
func (c *Checks) Err() error {
	if len(c.problems.Fields) == 0 {
		return nil
	}
	c.problems.Kind = fault.Invalid
	return &c.problems
}
