package dashboard

import (
	"bytes"
	"encoding/json"
	"strings"
)

// hidden stands where a secret was.
const hidden = "[redacted]"

// isSecret tells the names of fields whose values nobody should read off a screen.
func isSecret(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"password", "passwd", "token", "secret", "authorization", "cookie", "credential", "api_key", "apikey", "private_key"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// redact returns a JSON document without the values of fields that hold secrets, at any depth, numbers kept as written.
// What is not JSON is not shown at all.
func redact(raw []byte) []byte {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if len(raw) == 0 || decoder.Decode(&value) != nil {
		return []byte("{}")
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(redactValue(value)); err != nil {
		return []byte("{}")
	}
	return bytes.TrimSpace(out.Bytes())
}

func redactValue(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			if isSecret(name) && inner != nil {
				v[name] = hidden
			} else {
				v[name] = redactValue(inner)
			}
		}
	case []any:
		for i, inner := range v {
			v[i] = redactValue(inner)
		}
	}
	return value
}

// pretty is a JSON document, redacted and indented.
func pretty(raw []byte) string {
	var out bytes.Buffer
	if err := json.Indent(&out, redact(raw), "", "  "); err != nil {
		return "{}"
	}
	return out.String()
}
