package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/portico-web/portico/internal/lang"
)

//go:embed templates
var templateFiles embed.FS

// seoul is the time zone in which pages show times; it has no daylight saving time.
var seoul = time.FixedZone("KST", 9*60*60)

// excerptLength bounds what lists show of a post's text, in characters.
const excerptLength = 160

// templates holds every page once for each language.
type templates struct {
	pages map[lang.Lang]map[string]*template.Template
}

func loadTemplates(assets *assets) (*templates, error) {
	t := &templates{pages: map[lang.Lang]map[string]*template.Template{}}
	files, err := templateFiles.ReadDir("templates")
	if err != nil {
		return nil, err
	}
	for _, l := range []lang.Lang{lang.English, lang.Korean} {
		shared, err := template.New("").Funcs(functions(l, assets)).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
		if err != nil {
			return nil, err
		}
		t.pages[l] = map[string]*template.Template{}
		for _, file := range files {
			name := strings.TrimSuffix(file.Name(), path.Ext(file.Name()))
			if name == "layout" || name == "parts" {
				continue
			}
			page, err := shared.Clone()
			if err != nil {
				return nil, err
			}
			if t.pages[l][name], err = page.ParseFS(templateFiles, "templates/"+file.Name()); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

// execute renders a page whole, so that one that fails half-way is not sent.
func (t *templates) execute(l lang.Lang, name string, data any) ([]byte, error) {
	page, ok := t.pages[l][name]
	if !ok {
		return nil, fmt.Errorf("there is no template %s", name)
	}
	var body bytes.Buffer
	err := page.ExecuteTemplate(&body, "layout", data)
	return body.Bytes(), err
}

func functions(l lang.Lang, assets *assets) template.FuncMap {
	return template.FuncMap{
		"t":       l.Text,
		"tf":      l.Textf,
		"asset":   assets.address,
		"excerpt": excerpt,
		"date":    func(at, now time.Time) string { return date(l, at, now) },
		"moment":  func(at time.Time) string { return at.In(seoul).Format("2006-01-02 15:04") },
		"machine": func(at time.Time) string { return at.In(seoul).Format(time.RFC3339) },
		"add":     func(a, b int64) int64 { return a + b },
	}
}

// excerpt is the beginning of a text on one line.
func excerpt(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) <= excerptLength {
		return text
	}
	return string([]rune(text)[:excerptLength]) + "…"
}

// date is as short as the moment allows: the hour today, the day this year, else the whole date.
func date(l lang.Lang, at, now time.Time) string {
	at, now = at.In(seoul), now.In(seoul)
	switch {
	case at.Year() == now.Year() && at.YearDay() == now.YearDay():
		return at.Format("15:04")
	case at.Year() == now.Year() && l == lang.Korean:
		return fmt.Sprintf("%d월 %d일", at.Month(), at.Day())
	case at.Year() == now.Year():
		return at.Format("Jan 2")
	default:
		return at.Format("2006-01-02")
	}
}
