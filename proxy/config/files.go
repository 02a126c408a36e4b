package config

import (
	"fmt"
	"os"
	"time"
)

// Files serves a folder.
type Files struct {
	Root   string        `yaml:"root"`
	MaxAge time.Duration `yaml:"max_age"`
	Browse bool          `yaml:"browse"`
}

func (c *checker) files(path string, files *Files) {
	if files.Root == "" {
		c.doc.Faultf(path, "%s wants a root folder", path)
		return
	}
	if err := checkFolder(files.Root); err != nil {
		c.doc.Faultf(path+".root", "%s.root: %s", path, err)
	}
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
