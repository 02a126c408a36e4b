package proxy

import "strings"

// template is an address with placeholders, made ready.
type template []piece

// piece is text as it is, or what a placeholder stands for.
type piece struct {
	text string
	fill func(x *exchange) string // nil: the text
}

// newTemplate makes an address ready, in which stand {host}, {path}, {uri} (the path with the query) and {rest} (the path
// below the route's).
func newTemplate(text, routePath string) template {
	prefix := strings.TrimSuffix(routePath, "/")
	placeholders := map[string]func(x *exchange) string{
		"{host}": func(x *exchange) string { return hostText(x.host) },
		"{path}": func(x *exchange) string { return x.path },
		"{uri}":  func(x *exchange) string { return withQuery(x.path, x.Head().Query) },
		"{rest}": func(x *exchange) string { return strings.TrimPrefix(x.path, prefix) },
	}
	var made template
	for {
		before, after, found := strings.Cut(text, "{")
		name, rest, closed := strings.Cut(after, "}")
		if !found || !closed {
			break
		}
		if fill, known := placeholders["{"+name+"}"]; known {
			made = append(made, piece{text: before}, piece{fill: fill})
		} else {
			made = append(made, piece{text: before + "{" + name + "}"})
		}
		text = rest
	}
	if text != "" {
		made = append(made, piece{text: text})
	}
	return made
}

// of is the address for a request.
func (t template) of(x *exchange) string {
	var made strings.Builder
	for _, piece := range t {
		if piece.fill != nil {
			made.WriteString(piece.fill(x))
		} else {
			made.WriteString(piece.text)
		}
	}
	return made.String()
}
