package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"
)

//go:embed assets
var assetFiles embed.FS

// assets are the files that pages load, each under a name that holds a digest of its content: a new content is a new name,
// so that browsers may keep every one for ever.
type assets struct {
	names map[string]string // "style.css" to "/assets/style.0123456789.css"
	files map[string]asset  // by address
}

type asset struct {
	kind string
	body []byte
}

var assetKinds = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

func loadAssets() (*assets, error) {
	entries, err := assetFiles.ReadDir("assets")
	if err != nil {
		return nil, err
	}
	a := &assets{names: map[string]string{}, files: map[string]asset{}}
	for _, entry := range entries {
		name, extension := entry.Name(), path.Ext(entry.Name())
		body, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			return nil, err
		}
		kind, ok := assetKinds[extension]
		if !ok {
			return nil, fmt.Errorf("asset %s is of an unknown kind", name)
		}
		digest := sha256.Sum256(body)
		address := "/assets/" + strings.TrimSuffix(name, extension) + "." + hex.EncodeToString(digest[:5]) + extension
		a.names[name] = address
		a.files[address] = asset{kind, body}
	}
	return a, nil
}

// address is where a page finds the asset name.
func (a *assets) address(name string) (string, error) {
	address, ok := a.names[name]
	if !ok {
		return "", fmt.Errorf("there is no asset %s", name)
	}
	return address, nil
}

func (a *assets) handler(notFound http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, ok := a.files[r.URL.Path]
		if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
			notFound.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		file.serve(w, r)
	})
}

// icon answers browsers that look for an icon where sites had it of old.
func (a *assets) icon() http.Handler {
	file := a.files[a.names["icon.svg"]]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=86400")
		file.serve(w, r)
	})
}

func (f asset) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'") // an SVG opened by itself
	w.Header().Del("Vary")
	if r.Method != http.MethodHead {
		_, _ = w.Write(f.body)
	}
}
