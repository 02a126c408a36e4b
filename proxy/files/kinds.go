package files

import (
	"mime"
	"path"
)

// kinds are the media types of files that belong to the web and that not every system knows.
var kinds = map[string]string{
	".avif": "image/avif", ".csv": "text/csv; charset=utf-8", ".ico": "image/x-icon", ".ics": "text/calendar; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".map": "application/json", ".md": "text/markdown; charset=utf-8",
	".mjs": "text/javascript; charset=utf-8", ".mp4": "video/mp4", ".otf": "font/otf", ".ttf": "font/ttf",
	".txt": "text/plain; charset=utf-8", ".wasm": "application/wasm", ".webm": "video/webm",
	".webmanifest": "application/manifest+json", ".woff": "font/woff", ".woff2": "font/woff2", ".xml": "text/xml; charset=utf-8",
}

// typeOf is the media type that a name tells; "" for none.
func typeOf(name string) string { return mime.TypeByExtension(path.Ext(name)) }
