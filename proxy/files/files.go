// Package files serves a folder: ranges, validators, listings, files that were compressed beforehand; never a file outside of
// it, and none whose name begins with a dot except below .well-known.
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

	"github.com/portico-web/portico/internal/httpx"
)

// Settings describes a folder to serve.
type Settings struct {
	Root          string
	MaxAge        time.Duration // how long clients may keep a file without asking; 0: they ask each time
	Immutable     []string      // patterns (path.Match) of files that never change under their name
	Index         []string      // what stands for a folder, the first that there is
	Browse        bool          // list folders that have none of these
	Fallback      string        // the file that answers for pages that are none; "": there are none
	Precompressed bool          // serve name.zst, name.br or name.gz in the place of name to who takes them
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
		return s.fallback(w, r, root, relative, notFound(err))
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
		return s.file(w, r, root, relative, info, s.cacheControl(relative))
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
	for _, index := range s.settings.Index {
		index = path.Join(name, index)
		if info, err := root.Stat(index); err == nil && info.Mode().IsRegular() {
			return s.file(w, r, root, index, info, s.cacheControl(index))
		}
	}
	if !s.settings.Browse {
		return ErrNotFound
	}
	return list(w, r, root, name, requested)
}

// fallback answers for a page that an application in the browser makes of its address. What looks like a file and is not asked
// for as a page is not one: a script that is missing must not be answered with HTML.
func (s *Server) fallback(w http.ResponseWriter, r *http.Request, root *os.Root, name string, missing error) error {
	if s.settings.Fallback == "" || !errors.Is(missing, fs.ErrNotExist) {
		return missing
	}
	if strings.Contains(path.Base(name), ".") && !httpx.WantsPage(r.Header.Get("Accept")) {
		return missing
	}
	info, err := root.Stat(s.settings.Fallback)
	if err != nil || !info.Mode().IsRegular() {
		return missing
	}
	w.Header().Add("Vary", "Accept")
	return s.file(w, r, root, s.settings.Fallback, info, asking)
}

// file answers with a file, or with one that holds the same in fewer bytes.
func (s *Server) file(w http.ResponseWriter, r *http.Request, root *os.Root, name string, info fs.FileInfo, caching string) error {
	header := w.Header()
	opened, suffix := name, ""
	if s.settings.Precompressed {
		header.Add("Vary", "Accept-Encoding")
		if found := smaller(root, r, name, info); found.info != nil {
			opened, suffix, info = found.name, "-"+found.coding.String(), found.info
			header.Set("Content-Encoding", found.coding.String())
			w = &sized{w, info.Size()}
		}
	}
	file, err := root.Open(opened)
	if err != nil {
		header.Del("Content-Encoding")
		return notFound(err)
	}
	defer file.Close()
	header.Set("Etag", fmt.Sprintf(`"%x-%x%s"`, info.ModTime().UnixNano(), info.Size(), suffix))
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", caching)
	if kind, known := kinds[strings.ToLower(path.Ext(name))]; known {
		header.Set("Content-Type", kind)
	} else if suffix != "" && typeOf(name) == "" {
		header.Set("Content-Type", "application/octet-stream") // the encoded bytes say nothing about it
	}
	if ranges := r.Header.Get("Range"); strings.Count(ranges, ",") >= maxRanges {
		r.Header.Del("Range") // the heads of so many parts would be longer than the file (RFC 9110 section 14.2 lets us)
	}
	http.ServeContent(w, r, path.Base(name), info.ModTime(), file)
	return nil
}

// maxRanges bounds how many parts of a file one answer has.
const maxRanges = 16

// asking has clients ask each time whether what they keep is still so.
const asking = "no-cache"

func (s *Server) cacheControl(name string) string {
	for _, pattern := range s.settings.Immutable {
		against := name
		if !strings.Contains(pattern, "/") {
			against = path.Base(name)
		}
		if matched, err := path.Match(pattern, against); err == nil && matched {
			return "public, max-age=31536000, immutable"
		}
	}
	if s.settings.MaxAge == 0 {
		return asking
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
