// Package files serves a folder: ranges, validators, listings; never a file outside of it, and none whose name begins with a
// dot except below .well-known.
package files

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"
)

// Settings describes a folder to serve.
type Settings struct {
	Root   string
	MaxAge time.Duration // how long clients may keep a file without asking; 0: they ask each time
	Browse bool          // list folders that have no index.html
}

// Server serves a folder. It is safe for concurrent use.
type Server struct{ settings Settings }

// New returns a server for the folder. The folder is opened anew for each request, so that it may be replaced.
func New(settings Settings) *Server { return &Server{settings: settings} }

// ErrNotFound says that there is nothing to serve under a name.
var ErrNotFound = errors.New("no such file")

// Serve answers with the file at name: an escaped path below the folder, in routing.Normalize's form. requested is the path
// that the client asked for, to build redirects from. Nothing has been written when an error comes back.
func (s *Server) Serve(w http.ResponseWriter, r *http.Request, name, requested string) error {
	relative, err := clean(name)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(s.settings.Root)
	if err != nil {
		return fmt.Errorf("opening the folder: %w", err)
	}
	defer root.Close()
	info, err := root.Stat(relative)
	if err != nil {
		return notFound(err)
	}
	slash := strings.HasSuffix(name, "/") || name == ""
	switch {
	case info.IsDir() && !strings.HasSuffix(requested, "/"):
		redirect(w, r, requested+"/")
		return nil
	case info.IsDir():
		return s.folder(w, r, root, relative, requested)
	case slash || !info.Mode().IsRegular():
		return ErrNotFound
	default:
		return s.file(w, r, root, relative, info)
	}
}

// clean turns an escaped path into a name below the folder, and refuses what could mean another one.
func clean(escaped string) (string, error) {
	name, err := url.PathUnescape(escaped)
	if err != nil || strings.ContainsAny(name, "\\\x00") || strings.Count(name, "/") != strings.Count(escaped, "/") {
		return "", ErrNotFound
	}
	name = strings.Trim(path.Clean("/"+name), "/")
	if name == "" {
		return ".", nil
	}
	for i, element := range strings.Split(name, "/") {
		if strings.HasPrefix(element, ".") && (i != 0 || element != ".well-known") {
			return "", ErrNotFound
		}
	}
	return name, nil
}

func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrInvalid) {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	// A path through a file, a loop of links, a link that leads out of the folder.
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

func (s *Server) folder(w http.ResponseWriter, r *http.Request, root *os.Root, name, requested string) error {
	index := path.Join(name, "index.html")
	if info, err := root.Stat(index); err == nil && info.Mode().IsRegular() {
		return s.file(w, r, root, index, info)
	}
	if !s.settings.Browse {
		return ErrNotFound
	}
	return list(w, r, root, name, requested)
}

func (s *Server) file(w http.ResponseWriter, r *http.Request, root *os.Root, name string, info fs.FileInfo) error {
	file, err := root.Open(name)
	if err != nil {
		return notFound(err)
	}
	defer file.Close()
	header := w.Header()
	header.Set("Etag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", s.cacheControl())
	http.ServeContent(w, r, path.Base(name), info.ModTime(), file)
	return nil
}

func (s *Server) cacheControl() string {
	if s.settings.MaxAge == 0 {
		return "no-cache"
	}
	return fmt.Sprintf("public, max-age=%d", int64(s.settings.MaxAge.Seconds()))
}

// redirect leads to another path on the same host: two slashes at its front would name a host.
func redirect(w http.ResponseWriter, r *http.Request, to string) {
	to = "/" + strings.TrimLeft(to, "/")
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusPermanentRedirect)
}
