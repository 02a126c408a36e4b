package config

import (
	"fmt"
	"slices"

	"github.com/portico-web/portico/proxy/compress"
)

// Compress names the content codings that answers are compressed with, the favourite first. Empty: none.
type Compress []string

// UnmarshalText reads true, which stands for compress.Standard, and false.
func (l *Compress) UnmarshalText(text []byte) error {
	switch string(text) {
	case "true":
		*l = nil
		for _, coding := range compress.Standard {
			*l = append(*l, coding.String())
		}
	case "false":
		*l = nil
	default:
		return fmt.Errorf("%q is neither true, false nor a list such as [zstd, gzip]", text)
	}
	return nil
}

func (c *checker) compress(path string, list Compress) {
	for i, token := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		c.oneOf(at, token, "zstd", "br", "gzip")
		if slices.Contains(list[:i], token) {
			c.doc.Faultf(at, "%s: %s is in the list twice", at, token)
		}
	}
}
