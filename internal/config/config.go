// Package config reads a program's settings from its environment. All faults of an environment are told together, each
// naming its variable, so that an operator mends them in one go.
package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// Environment fills dst, a pointer to a struct with `env` tags, from environ ("NAME=value" pairs, as os.Environ gives).
// A variable NAME may be given as NAME_FILE, the path of a file that holds the value (a trailing newline is dropped);
// giving both is a fault. An empty value counts as not set.
func Environment(dst any, environ []string) error {
	values := map[string]string{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if value != "" {
			values[name] = value
		}
	}
	params, err := env.GetFieldParams(dst)
	if err != nil {
		return fmt.Errorf("reading the settings' fields: %w", err)
	}
	var faults []error
	for _, param := range params {
		path, given := values[param.Key+"_FILE"]
		if !given {
			continue
		}
		if values[param.Key] != "" {
			faults = append(faults, fmt.Errorf("%s and %s_FILE are both set: remove one", param.Key, param.Key))
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s_FILE: %w", param.Key, err))
			continue
		}
		values[param.Key] = strings.TrimRight(string(content), "\r\n")
	}
	faults = append(faults, parse(dst, values)...)
	return errors.Join(faults...)
}

func parse(dst any, values map[string]string) []error {
	err := env.ParseWithOptions(dst, env.Options{Environment: values})
	if err == nil {
		return nil
	}
	aggregate, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		return []error{err}
	}
	faults := make([]error, 0, len(aggregate.Errors))
	for _, fault := range aggregate.Errors {
		if missing, ok := errors.AsType[env.VarIsNotSetError](fault); ok {
			faults = append(faults, fmt.Errorf("%s is required and not set", missing.Key))
		} else if broken, ok := errors.AsType[env.ParseError](fault); ok {
			faults = append(faults, fmt.Errorf("%s: %w%s", variableOf(reflect.TypeOf(dst).Elem(), broken.Name), broken.Err, wayOut(broken.Type)))
		} else {
			faults = append(faults, fault)
		}
	}
	return faults
}

// wayOut says what a value of this type looks like.
func wayOut(kind reflect.Type) string {
	switch kind {
	case reflect.TypeFor[bool]():
		return ": use true or false"
	case reflect.TypeFor[int]():
		return ": use a whole number"
	case reflect.TypeFor[time.Duration]():
		return ": use a time such as 30s, 15m or 336h"
	case reflect.TypeFor[[]netip.Prefix]():
		return ": use networks such as 10.0.0.0/8,203.0.113.7/32"
	}
	return ""
}

// variableOf finds the environment variable behind the struct field that the parser names.
func variableOf(settings reflect.Type, field string) string {
	for i := range settings.NumField() {
		candidate := settings.Field(i)
		if tag := candidate.Tag.Get("env"); candidate.Name == field && tag != "" {
			name, _, _ := strings.Cut(tag, ",")
			return name
		}
		if candidate.Type.Kind() == reflect.Struct {
			if name := variableOf(candidate.Type, field); name != field {
				return name
			}
		}
	}
	return field
}

// WithOlderNames returns environ with each variable that is set under an older name, and not under its present one, also
// present under the latter; NAME_FILE follows its NAME. older maps older names to present ones.
func WithOlderNames(environ []string, older map[string]string) []string {
	values := map[string]string{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
	}
	extended := slices.Clone(environ)
	for old, present := range older {
		if values[present] != "" || values[present+"_FILE"] != "" {
			continue
		}
		for _, suffix := range []string{"", "_FILE"} {
			if value := values[old+suffix]; value != "" {
				extended = append(extended, present+suffix+"="+value)
			}
		}
	}
	return extended
}
