package main

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/portico-web/portico/app"
	"github.com/portico-web/portico/worker"
)

func TestEverySettingIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := string(text)
	for _, name := range append(variables(reflect.TypeFor[app.Config]()), variables(reflect.TypeFor[worker.Config]())...) {
		if !strings.Contains(documented, "`"+name+"`") {
			t.Errorf("docs/configuration.md does not name %s", name)
		}
	}
}

func variables(settings reflect.Type) []string {
	var names []string
	for i := range settings.NumField() {
		field := settings.Field(i)
		if name, _, _ := strings.Cut(field.Tag.Get("env"), ","); name != "" {
			names = append(names, name)
		} else if field.Type.Kind() == reflect.Struct {
			names = append(names, variables(field.Type)...)
		}
	}
	return names
}
