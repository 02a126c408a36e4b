package web

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/portico-web/portico/internal/httpx"
)

// docs is the API's documentation, read from its OpenAPI document when first asked for.
type docs struct {
	source  func() *huma.OpenAPI
	once    sync.Once
	groups  []apiGroup
	schemas []apiSchema
}

// apiGroup is the operations of one tag.
type apiGroup struct {
	Name, Anchor string
	Operations   []apiOperation
}

// apiOperation is one endpoint.
type apiOperation struct {
	Method, Path, Summary, Anchor string
	Parameters                    []apiField
	Body                          *apiBody
	Responses                     []apiBody
	example                       string
}

// Curl is a command that tries the operation on the site at origin.
func (o apiOperation) Curl(origin string) string {
	command := "curl"
	if o.Method != http.MethodGet {
		command += " -X " + o.Method
	}
	command += " '" + origin + o.Path + "'"
	if o.Body != nil {
		command += " \\\n  -H 'Content-Type: application/json' \\\n  -d '" + strings.ReplaceAll(o.example, "'", `'\''`) + "'"
	}
	return command
}

// apiBody is the body of a request, or of a response with a status.
type apiBody struct {
	Status, About string
	Type          apiType
	Fields        []apiField
}

// apiSchema is a named type.
type apiSchema struct {
	Name   string
	Fields []apiField
}

// apiField is a parameter of an operation or a property of a type.
type apiField struct {
	Name, In, About, Default string
	Type                     apiType
	Required                 bool
}

// apiType is a type in words, with the schema that it leads to when that has a name.
type apiType struct{ Text, Schema string }

// docsView is the page of the documentation.
type docsView struct {
	*view
	Groups  []apiGroup
	Schemas []apiSchema
	Origin  string
	Version string
}

func (p *Pages) showDocs(w http.ResponseWriter, r *http.Request) error {
	document := p.OpenAPI()
	p.docs.once.Do(func() { p.docs.build(document) })
	v, err := p.viewOf(w, r, "API documentation")
	if err != nil {
		return err
	}
	client := httpx.ClientOf(r.Context())
	origin := "http://" + client.Host
	if client.Secure {
		origin = "https://" + client.Host
	}
	return p.show(w, r, http.StatusOK, "docs", docsView{
		view: v, Groups: p.docs.groups, Schemas: p.docs.schemas, Origin: origin, Version: document.Info.Version,
	})
}

// exampleOf is a body that a reader can send, as one line of JSON.
func exampleOf(registry huma.Registry, schema *huma.Schema) string {
	raw, err := json.Marshal(exampleValue(registry, schema, 0))
	if err != nil {
		return "{}"
	}
	return string(raw)
}
