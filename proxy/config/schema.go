package config

import _ "embed"

//go:embed schema.json
var schema []byte

// Schema is a JSON Schema (draft 7, which editors of YAML know) of proxy.yaml, with the documentation's words on each key. It
// accepts whatever Load does, and some of what Load refuses for its meaning.
func Schema() []byte { return schema }
