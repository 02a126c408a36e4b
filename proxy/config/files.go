package config

import (
	"fmt"
	"os"
	"path"
	"strings"
	"time"
)

// Files serves a folder.
type Files struct {
	Root          string        `yaml:"root"`
	MaxAge        time.Duration `yaml:"max_age"`
	Browse        bool          `yaml:"browse"`
	Index         Words         `yaml:"index"`
	Fallback      string        `yaml:"fallback"`
	Immutable     Words         `yaml:"immutable"`
	Precompressed bool          `yaml:"precompressed"`
}

func (c *checker) files(path string, files *Files) {
	if files.Root == "" {
		c.doc.Faultf(path, "%s wants a root folder", path)
		return
	}
	if err := checkFolder(files.Root); err != nil {
		c.doc.Faultf(path+".root", "%s.root: %s", path, err)
	}
	for i, name := range files.Index {
		if at := fmt.Sprintf("%s.index[%d]", path, i); !fileBelow(name) || strings.Contains(name, "/") {
			c.doc.Faultf(at, "%s: %q is not the name of a file such as index.html", at, name)
		}
	}
	for i, pattern := range files.Immutable {
		if at := fmt.Sprintf("%s.immutable[%d]", path, i); !filePattern(pattern) {
			c.doc.Faultf(at, "%s: %q is not a pattern such as *.woff2 or assets/*", at, pattern)
		}
	}
	if files.Fallback != "" && !fileBelow(files.Fallback) {
		c.doc.Faultf(path+".fallback", "%s.fallback: %q is not the name of a file below the root, such as index.html", path, files.Fallback)
	}
}

// fileBelow tells whether text names a file below a folder, and none that is not served.
func fileBelow(text string) bool {
	return text != "" && path.Clean("/"+text) == "/"+text && !strings.Contains("/"+text, "/.") && !strings.ContainsAny(text, "\\\x00")
}

func filePattern(text string) bool {
	_, err := path.Match(text, "")
	return err == nil && text != "" && text[0] != '/'
}

func checkFolder(folder string) error {
	info, err := os.Stat(folder)
	if err != nil {
		return fmt.Errorf("the folder %s cannot be served (%w): make it, or correct the path", folder, cause(err))
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", folder)
	}
	return nil
}

func (f *Files) fillIn() {
	if len(f.Index) == 0 {
		f.Index = Words{"index.html"}
	}
}
