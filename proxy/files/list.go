package files

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
)

// maxListed bounds how many entries of a folder a listing shows.
const maxListed = 5000

//go:embed list.html
var listSource string

var listPage = template.Must(template.New("list").Parse(listSource))

type listing struct {
	Path    string
	Parent  bool
	Entries []entry
	Cut     bool
}

type entry struct {
	Name, Link, Size, Modified string
}

// list answers with a page of the folder's entries: folders first, then files, by name. Dot files are not shown.
func list(w http.ResponseWriter, r *http.Request, root *os.Root, name, requested string) error {
	folder, err := root.Open(name)
	if err != nil {
		return notFound(err)
	}
	defer folder.Close()
	entries, err := folder.ReadDir(maxListed + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return notFound(err)
	}
	shown := listing{Parent: name != ".", Cut: len(entries) > maxListed}
	if shown.Path, err = url.PathUnescape(requested); err != nil {
		shown.Path = requested
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int {
		if a.IsDir() != b.IsDir() {
			if a.IsDir() {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name(), b.Name())
	})
	for _, found := range entries[:min(len(entries), maxListed)] {
		if strings.HasPrefix(found.Name(), ".") {
			continue
		}
		info, err := found.Info()
		if found.Type()&fs.ModeSymlink != 0 {
			info, err = root.Stat(path.Join(name, found.Name())) // one that leads out of the folder is not served
		}
		if err == nil && (info.IsDir() || info.Mode().IsRegular()) {
			shown.Entries = append(shown.Entries, describe(found.Name(), info))
		}
	}
	var body bytes.Buffer
	if err := listPage.Execute(&body, shown); err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-cache")
	header.Set("Content-Length", fmt.Sprint(body.Len()))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body.Bytes())
	}
	return nil
}

func describe(name string, info fs.FileInfo) entry {
	size := byteCount(info.Size())
	if info.IsDir() {
		name, size = name+"/", ""
	}
	return entry{
		Name: name, Size: size, Modified: info.ModTime().UTC().Format("2006-01-02 15:04"),
		Link: "./" + (&url.URL{Path: name}).EscapedPath(), // ./ keeps a name with a colon from being a scheme
	}
}

func byteCount(size int64) string {
	if size < 1024 {
		return fmt.Sprintf("%d B", size)
	}
	value := float64(size)
	for _, unit := range []string{"KiB", "MiB", "GiB"} {
		if value /= 1024; value < 1024 {
			return fmt.Sprintf("%.1f %s", value, unit)
		}
	}
	return fmt.Sprintf("%.1f TiB", value/1024)
}
