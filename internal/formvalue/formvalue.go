// Package formvalue holds types of API input that come as JSON values from some clients and as strings from a form, as Django
// REST framework takes both.
package formvalue

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/portico-web/portico/internal/fault"
)

// Integer is a whole number or a string that spells one; null and "" mean none. Reading never fails: the handler asks Get,
// so that the client is told which field is wrong.
type Integer struct {
	value   int64
	present bool
	broken  bool
}

// Int is an Integer that is present.
func Int(value int64) Integer { return Integer{value: value, present: true} }

// Get returns the number, or nil when there is none. The error is a fault about field.
func (i Integer) Get(field string) (*int64, error) {
	switch {
	case i.broken:
		return nil, fault.Field(field, "A valid integer is required.")
	case !i.present:
		return nil, nil
	}
	return &i.value, nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (i *Integer) UnmarshalJSON(raw []byte) error {
	*i = Integer{}
	text := string(raw)
	if raw[0] == '"' {
		if json.Unmarshal(raw, &text) != nil {
			i.broken = true
			return nil
		}
		if text = strings.TrimSpace(text); text == "" {
			return nil
		}
	} else if text == "null" {
		return nil
	}
	i.present = true
	var err error
	if i.value, err = strconv.ParseInt(text, 10, 64); err == nil {
		return nil
	}
	// 3.0 and 3e0 are whole numbers too; beyond 2^53 a float no longer tells which one.
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || number != math.Trunc(number) || math.Abs(number) > 1<<53 {
		i.broken = true
		return nil
	}
	i.value = int64(number)
	return nil
}

// MarshalJSON writes the number, or null.
func (i Integer) MarshalJSON() ([]byte, error) {
	if !i.present || i.broken {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, i.value, 10), nil
}

// Schema describes both spellings.
func (Integer) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{AnyOf: []*huma.Schema{
		{Type: huma.TypeInteger, Format: "int64"},
		{Type: huma.TypeString, Description: "The number in digits, as a form sends it; empty means none."},
	}}
}

// Boolean is true or false, or one of the words Django REST framework takes for them; null and "" mean none.
type Boolean struct {
	value   bool
	present bool
	broken  bool
}

// Get returns the value, or nil when there is none. The error is a fault about field.
func (b Boolean) Get(field string) (*bool, error) {
	switch {
	case b.broken:
		return nil, fault.Field(field, "Must be a valid boolean.")
	case !b.present:
		return nil, nil
	}
	return &b.value, nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *Boolean) UnmarshalJSON(raw []byte) error {
	*b = Boolean{present: true}
	text := string(raw)
	if raw[0] == '"' && json.Unmarshal(raw, &text) != nil {
		b.broken = true
		return nil
	}
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "t", "yes", "y", "on", "1":
		b.value = true
	case "false", "f", "no", "n", "off", "0":
	case "", "null":
		b.present = false
	default:
		b.broken = true
	}
	return nil
}

// MarshalJSON writes the value, or null.
func (b Boolean) MarshalJSON() ([]byte, error) {
	if !b.present || b.broken {
		return []byte("null"), nil
	}
	return strconv.AppendBool(nil, b.value), nil
}

// Schema describes both spellings.
func (Boolean) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{AnyOf: []*huma.Schema{
		{Type: huma.TypeBoolean},
		{Type: huma.TypeString, Description: "A form's word: true, on, yes, 1, or false, off, no, 0; empty means none."},
	}}
}
