package web

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// build reads the document into what the page shows: operations by tag in the order of paths, and the named types.
func (d *docs) build(document *huma.OpenAPI) {
	registry := document.Components.Schemas
	groups := map[string]*apiGroup{}
	for _, path := range slices.Sorted(maps.Keys(document.Paths)) {
		for _, op := range operationsOf(document.Paths[path]) {
			tag := "Other"
			if len(op.Tags) > 0 {
				tag = op.Tags[0]
			}
			if groups[tag] == nil {
				groups[tag] = &apiGroup{Name: tag, Anchor: "tag-" + slug(tag)}
			}
			groups[tag].Operations = append(groups[tag].Operations, operation(registry, path, op))
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(groups)) {
		d.groups = append(d.groups, *groups[tag])
	}
	named := registry.Map()
	for _, name := range slices.Sorted(maps.Keys(named)) {
		d.schemas = append(d.schemas, apiSchema{Name: name, Fields: fieldsOf(registry, named[name])})
	}
}

func operationsOf(item *huma.PathItem) []*huma.Operation {
	all := []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete}
	return slices.DeleteFunc(all, func(op *huma.Operation) bool { return op == nil || op.Hidden })
}

func operation(registry huma.Registry, path string, op *huma.Operation) apiOperation {
	out := apiOperation{Method: op.Method, Path: path, Summary: op.Summary, Anchor: slug(op.OperationID)}
	for _, param := range op.Parameters {
		out.Parameters = append(out.Parameters, apiField{
			Name: param.Name, In: param.In, About: param.Description, Required: param.Required,
			Type: typeOf(registry, param.Schema), Default: defaultOf(param.Schema),
		})
	}
	if op.RequestBody != nil {
		if content := op.RequestBody.Content["application/json"]; content != nil && content.Schema != nil {
			out.Body = &apiBody{Type: typeOf(registry, content.Schema), Fields: fieldsOf(registry, content.Schema)}
			out.example = exampleOf(registry, content.Schema)
		}
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		response := op.Responses[status]
		body := apiBody{Status: status, About: response.Description}
		if code, err := strconv.Atoi(status); err == nil {
			body.About = http.StatusText(code)
			if code >= http.StatusBadRequest { // every error has the same shape, which the page tells once
				out.Responses = append(out.Responses, body)
				continue
			}
		}
		if content := response.Content["application/json"]; content != nil && content.Schema != nil {
			body.Type = typeOf(registry, content.Schema)
		}
		out.Responses = append(out.Responses, body)
	}
	return out
}

// resolve follows a reference to the schema it names.
func resolve(registry huma.Registry, schema *huma.Schema) *huma.Schema {
	for schema != nil && schema.Ref != "" {
		schema = registry.SchemaFromRef(schema.Ref)
	}
	return schema
}

func fieldsOf(registry huma.Registry, schema *huma.Schema) []apiField {
	schema = resolve(registry, schema)
	if schema == nil {
		return nil
	}
	required := append(slices.Clone(schema.Required), published[[]string](schema, "required")...)
	fields := make([]apiField, 0, len(schema.Properties))
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		property := schema.Properties[name]
		fields = append(fields, apiField{
			Name: name, About: property.Description, Type: typeOf(registry, property), Default: defaultOf(property),
			Required: slices.Contains(required, name),
		})
	}
	slices.SortStableFunc(fields, func(a, b apiField) int { return rank(a) - rank(b) })
	return fields
}

// rank puts a thing's number first.
func rank(field apiField) int {
	if field.Name == "id" {
		return 0
	}
	return 1
}

// published is a keyword that a schema publishes without huma enforcing it.
func published[T any](schema *huma.Schema, keyword string) T {
	value, _ := schema.Extensions[keyword].(T)
	return value
}

func kindOf(schema *huma.Schema) string {
	if schema.Type != "" {
		return schema.Type
	}
	return published[string](schema, "type")
}

func typeOf(registry huma.Registry, schema *huma.Schema) apiType {
	if schema == nil {
		return apiType{Text: "anything"}
	}
	if schema.Ref != "" {
		name := schema.Ref[strings.LastIndex(schema.Ref, "/")+1:]
		return apiType{Text: name, Schema: name}
	}
	out := apiType{Text: kindOf(schema)}
	switch {
	case out.Text == huma.TypeArray && schema.Items != nil:
		items := typeOf(registry, schema.Items)
		return apiType{Text: "array of " + items.Text, Schema: items.Schema}
	case out.Text == "" && len(schema.Enum) == 0:
		return apiType{Text: "anything"}
	}
	if schema.Format != "" && schema.Format != "int64" {
		out.Text += " (" + schema.Format + ")"
	}
	if schema.MaxLength != nil {
		out.Text += fmt.Sprintf(", at most %d characters", *schema.MaxLength)
	}
	if schema.Minimum != nil {
		out.Text += fmt.Sprintf(", from %g", *schema.Minimum)
	}
	if schema.Maximum != nil {
		out.Text += fmt.Sprintf(", to %g", *schema.Maximum)
	}
	if schema.Nullable {
		out.Text += " or null"
	}
	return out
}

func defaultOf(schema *huma.Schema) string {
	if schema == nil || schema.Default == nil {
		return ""
	}
	raw, err := json.Marshal(schema.Default)
	if err != nil {
		return ""
	}
	return string(raw)
}

// maxDepth bounds how deep an example goes into types that hold each other.
const maxDepth = 4

// exampleValue is a value of a type: its own example, or something plain. Optional fields without an example are left out.
func exampleValue(registry huma.Registry, schema *huma.Schema, depth int) any {
	schema = resolve(registry, schema)
	if schema == nil || depth > maxDepth {
		return nil
	}
	if len(schema.Examples) > 0 {
		return schema.Examples[0]
	}
	switch kindOf(schema) {
	case huma.TypeObject:
		object := map[string]any{}
		required := append(slices.Clone(schema.Required), published[[]string](schema, "required")...)
		for name, property := range schema.Properties {
			if slices.Contains(required, name) || len(required) == 0 {
				object[name] = exampleValue(registry, property, depth+1)
			}
		}
		return object
	case huma.TypeArray:
		return []any{}
	case huma.TypeInteger, huma.TypeNumber:
		return 1
	case huma.TypeBoolean:
		return true
	default:
		return "…"
	}
}

// slug is text as part of an address within the page.
func slug(text string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '-':
			return r
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		default:
			return '-'
		}
	}, text), "-")
}
