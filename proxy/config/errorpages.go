package config

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
)

// maxErrorPage bounds a page in bytes: all are kept in memory.
const maxErrorPage = 1 << 20

// errorPages reads a site's pages for failures. Their files are watched, as certificates are.
func (c *checker) errorPages(path string, site *Site) {
	for _, name := range slices.Sorted(maps.Keys(site.ErrorPages)) {
		file, at := site.ErrorPages[name], path+".error_pages."+name
		if !failureStatus(name) {
			c.doc.Faultf(at, "%s: %q is neither a status from 400 to 599 nor 4xx or 5xx", at, name)
			continue
		}
		content, err := os.ReadFile(file)
		switch {
		case err != nil:
			c.doc.Faultf(at, "%s: %s cannot be read (%s)", at, file, cause(err))
		case len(content) > maxErrorPage:
			c.doc.Faultf(at, "%s: %s has %d bytes, more than the 1 MiB that a page may have", at, file, len(content))
		}
		if site.errorPages == nil {
			site.errorPages = map[string][]byte{}
		}
		site.errorPages[name] = content
		c.config.watched = append(c.config.watched, file)
	}
	if site.InterceptErrors && len(site.ErrorPages) == 0 {
		c.doc.Faultf(path+".intercept_errors", "%s.intercept_errors wants error_pages, such as {5xx: FILE}", path)
	}
}

func failureStatus(name string) bool {
	if name == "4xx" || name == "5xx" {
		return true
	}
	status, err := strconv.Atoi(name)
	return err == nil && 400 <= status && status <= 599
}

// ErrorPage is the page for a status: its own, or that of its class; nil when there is none.
func (s *Site) ErrorPage(status int) []byte {
	if page, ok := s.errorPages[strconv.Itoa(status)]; ok {
		return page
	}
	return s.errorPages[fmt.Sprintf("%dxx", status/100)]
}
