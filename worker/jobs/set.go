// Package jobs holds the code behind each kind of job. The argument types belong to the domains that enqueue them.
package jobs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/riverqueue/river"

	"github.com/portico-web/portico/internal/fault"
)

// Set is the kinds of jobs that a worker knows: the code behind each, and how to read its arguments from JSON. It is filled
// before the worker starts and only read afterwards.
type Set struct {
	workers *river.Workers
	kinds   map[string]func(arguments []byte) (river.JobArgs, error)
}

// NewSet is an empty Set.
func NewSet() *Set {
	return &Set{workers: river.NewWorkers(), kinds: map[string]func([]byte) (river.JobArgs, error){}}
}

// Add makes worker the code behind the jobs with arguments T. Adding a kind twice is a programming error and panics.
func Add[T river.JobArgs](s *Set, worker river.Worker[T]) {
	river.AddWorker(s.workers, worker)
	var zero T
	s.kinds[zero.Kind()] = func(arguments []byte) (river.JobArgs, error) {
		var args T
		decoder := json.NewDecoder(bytes.NewReader(arguments))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&args); err != nil {
			return nil, argumentFault(err)
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			return nil, fault.New(fault.Invalid, "The arguments must be one JSON object.")
		}
		if checked, ok := any(args).(interface{ Validate() error }); ok {
			if err := checked.Validate(); err != nil {
				return nil, err
			}
		}
		return args, nil
	}
}

// Workers is the set as River takes it.
func (s *Set) Workers() *river.Workers { return s.workers }

// Kinds are the names of the kinds, sorted.
func (s *Set) Kinds() []string { return slices.Sorted(maps.Keys(s.kinds)) }

// Args reads the arguments of a kind from a JSON object. An unknown kind is a fault of kind NotFound; an unknown field, a
// value of the wrong type and anything that is not JSON one of kind Invalid.
func (s *Set) Args(kind string, arguments []byte) (river.JobArgs, error) {
	decode, known := s.kinds[kind]
	if !known {
		return nil, fault.New(fault.NotFound, fmt.Sprintf("Unknown task %q.", kind))
	}
	if trimmed := bytes.TrimSpace(arguments); len(trimmed) == 0 {
		arguments = []byte("{}")
	} else if trimmed[0] != '{' {
		return nil, fault.New(fault.Invalid, "The arguments must be one JSON object.")
	}
	// PostgreSQL's JSON has no null characters. Without the escaped backslashes, an escape is what it looks like.
	if bytes.Contains(bytes.ReplaceAll(arguments, []byte(`\\`), nil), []byte(`\u0000`)) {
		return nil, fault.New(fault.Invalid, "Null characters are not allowed.")
	}
	return decode(arguments)
}

// argumentFault tells what is wrong with arguments in words that hold nothing of our types.
func argumentFault(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		return fault.Field(wrong.Field, fmt.Sprintf("A JSON %s does not fit here.", wrong.Value))
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fault.Field(strings.Trim(name, `"`), "Unknown field.")
	}
	return fault.Wrap(fault.Invalid, "The arguments cannot be read: not valid JSON, or a value of the wrong form.", err)
}
