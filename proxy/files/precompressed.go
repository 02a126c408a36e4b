package files

import (
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/portico-web/portico/proxy/compress"
)

// precompressed are the codings that files may lie beside their originals in, by what their names end with; the smallest first.
var precompressed = []struct {
	coding compress.Coding
	suffix string
}{{compress.Brotli, ".br"}, {compress.Zstd, ".zst"}, {compress.Gzip, ".gz"}}

// encoded is a file that holds another one encoded; without info there is none.
type encoded struct {
	name   string
	coding compress.Coding
	info   fs.FileInfo
}

// older is by how much an encoded file may be older than its original: a copy of both takes the two in any order.
const older = time.Minute

// smaller finds the encoded file that the client likes best. An old one is not what is in its original now.
func smaller(root *os.Root, r *http.Request, name string, original fs.FileInfo) encoded {
	accepted := compress.Accepted(r.Header["Accept-Encoding"])
	var best encoded
	most := 0
	for _, candidate := range precompressed {
		weight := accepted.Weight(candidate.coding)
		if weight <= most {
			continue
		}
		info, err := root.Stat(name + candidate.suffix)
		if err == nil && info.Mode().IsRegular() && !info.ModTime().Add(older).Before(original.ModTime()) {
			best, most = encoded{name + candidate.suffix, candidate.coding, info}, weight
		}
	}
	return best
}

// sized announces the length of an encoded file, which http.ServeContent leaves out.
type sized struct {
	http.ResponseWriter
	size int64
}

// WriteHeader implements http.ResponseWriter.
func (w *sized) WriteHeader(status int) {
	if header := w.Header(); status == http.StatusOK && header.Get("Content-Length") == "" {
		header.Set("Content-Length", strconv.FormatInt(w.size, 10))
	}
	w.ResponseWriter.WriteHeader(status)
}

// ReadFrom implements io.ReaderFrom as the writer within does.
func (w *sized) ReadFrom(source io.Reader) (int64, error) { return io.Copy(w.ResponseWriter, source) }
